"""Commands that crowds of clients send in the same words, read once. Pure."""

from collections.abc import Callable
from typing import Any

from .commands import PONG, Command, Connect, Subscribe

# So many are known, of at most so many characters: together some 1 MB. Clients of one page send the
# same few; if they do not, all are forgotten when there are too many.
_MAX_KNOWN = 1000
_MAX_LENGTH = 300


class KnownCommands:
    """Reads commands, and knows those again that many clients send.

    These are pongs, and each connect and each subscribe without anything of one client's own: no
    token is kept here, and no data.
    """

    __slots__ = ("_known", "_read")

    def __init__(self, read: Callable[[str], Command[Any]]) -> None:
        """``read`` returns the command of a text."""
        self._read = read
        self._known: dict[str, Command[Any]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def read(self, text: str) -> Command[Any]:
        """Return the command of a text; raises what reading it raises."""
        command = self._known.get(text)
        if command is None:
            command = self._read(text)
            if len(text) <= _MAX_LENGTH and _is_common(command):
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known[text] = command
        return command


def _is_common(command: Command[Any]) -> bool:
    match command.request:
        case Connect(token="", data=None, subs=subs, headers=headers):
            return not subs and not headers
        case Subscribe(token="", data=None):
            return True
    return command is PONG
