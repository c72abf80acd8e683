"""What one process tells another, as texts that NOTIFY carries: up to 7,999 bytes each. Pure.

A text is ``process.number:place/count:part``: who tells it, a number of that process, the place of
this part among how many, and the part in base64.
"""

import base64
from collections import OrderedDict

# Characters of base64 in one text: a process and its numbers take some of the 7,999 bytes.
_PART = 7600

# Senders of whom something is incomplete; one that has ended leaves it so.
_MAX_INCOMPLETE = 100

# Parts of one message: more than MAX_TOLD_BYTES need.
_MAX_PARTS = 64


def split(process_id: str, number: int, message: bytes) -> list[str]:
    """Return the texts of a message, at least one; no two texts of a process are the same."""
    whole = base64.b64encode(message).decode()
    parts = [whole[start : start + _PART] for start in range(0, max(1, len(whole)), _PART)]
    name = f"{process_id}.{number}"
    return [f"{name}:{place}/{len(parts)}:{part}" for place, part in enumerate(parts)]


class Letters:
    """Puts together what comes in parts; those of one sender come in their order."""

    def __init__(self) -> None:
        # By sender: the number and the count of what is incomplete, and its parts.
        self._incomplete: OrderedDict[str, tuple[str, str, list[str]]] = OrderedDict()

    def take(self, text: str) -> bytes:
        """Return the message that is complete with this text, nothing while it is not."""
        head, _, part = text.rpartition(":")
        name, _, place = head.partition(":")
        sender, _, number = name.partition(".")
        at, _, count = place.partition("/")
        known = self._incomplete.pop(sender, None)
        if at == "0":
            known = (number, count, [])
        if known is None or known[:2] != (number, count) or at != str(len(known[2])):
            return b""  # one was lost, or it is somebody else's
        known[2].append(part)
        if len(known[2]) > _MAX_PARTS:
            return b""
        if count != str(len(known[2])):
            self._keep(sender, known)
            return b""
        try:
            return base64.b64decode("".join(known[2]), validate=True)
        except ValueError:  # somebody else's
            return b""

    def _keep(self, sender: str, known: tuple[str, str, list[str]]) -> None:
        self._incomplete[sender] = known
        while len(self._incomplete) > _MAX_INCOMPLETE:
            self._incomplete.popitem(last=False)
