"""Which versions of Redis will do."""

import re

from ...errors import BrokerError

# The oldest that has all that is used here; older ones say which users may publish to what in another way.
OLDEST = (6, 2)


class TooOldError(BrokerError):
    """The server can never do what is needed."""


def check_version(info: bytes) -> None:
    """Raise TooOldError if what ``INFO`` said is of a server that is too old; one that hides its version may try."""
    found = re.search(rb"redis_version:((\d+)\.(\d+)[^\r\n]*)", info)
    if found is not None and (int(found[2]), int(found[3])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise TooOldError(f"Redis: its version is {found[1].decode()}, and {needed} or newer is needed")
