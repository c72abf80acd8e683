"""Fields that change what a command means, and that this server does not carry out: refused, never passed over."""

from collections.abc import Mapping
from typing import Any

from ...protocols.centrifuge import ErrorCode, Violation
from .errors import CommandError

# The only form of deltas that there is. To ask for it is to allow it: the answer says whether it was agreed on.
_FOSSIL = "fossil"


def check_subscribe(request: Mapping[str, Any]) -> None:
    """Return if a subscription asks for nothing but a stream of all that is published.

    Raises:
        CommandError: it asks for a part of it by a tag filter, or for a subscription of another type.
        Violation: it asks for deltas of a kind that nobody knows.
    """
    if request["delta"] not in ("", _FOSSIL):
        raise Violation("delta is of an unknown kind")
    if request["tf"]:
        raise CommandError(ErrorCode.BAD_REQUEST)
    check_type(request)


def check_type(request: Mapping[str, Any]) -> None:
    """Return if a request is about a stream, which all channels are here, else raise CommandError."""
    if request["type"]:
        raise CommandError(ErrorCode.NOT_AVAILABLE)


def check_publish(request: Mapping[str, Any]) -> None:
    """Return if a publication has no key, as no channel here has keys, else raise CommandError."""
    if request["key"] or request["type"] or request["removed"]:
        raise CommandError(ErrorCode.BAD_REQUEST)
