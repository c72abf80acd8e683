"""The methods of ``rpc`` that are this package's own: a client confirms what it has."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ...hub.receipts import Acknowledged
from ...messages import Payload, StreamPosition
from ...protocols.centrifuge import CommandError, ErrorCode
from .context import Context, decoded

# The errors for acknowledgements that are passed over.
_ERRORS: Final = {
    Acknowledged.NOT_SUBSCRIBED: ErrorCode.UNKNOWN_CHANNEL,
    Acknowledged.NO_POSITION: ErrorCode.NOT_AVAILABLE,
    Acknowledged.OTHER_EPOCH: ErrorCode.UNRECOVERABLE_POSITION,
    Acknowledged.NOT_SENT: ErrorCode.BAD_REQUEST,
}


def acknowledge(context: Context, data: Payload | None) -> Mapping[str, Any]:
    """Take ``{"channel", "offset"}``: the client has everything in the channel up to the offset.

    Raises:
        CommandError: it was not sent that, or the data is something else.
    """
    match _fields(data):
        case {"channel": str(channel), "offset": int(offset), **rest}:
            position = StreamPosition(offset, str(rest.get("epoch", "")))
        case _:
            raise CommandError(ErrorCode.BAD_REQUEST)
    outcome = context.hub.acknowledge(context.session, channel, position)
    if outcome in _ERRORS:
        raise CommandError(_ERRORS[outcome])
    return {}


def _fields(data: Payload | None) -> Any:
    try:
        return decoded(data)
    except ValueError:
        raise CommandError(ErrorCode.BAD_REQUEST) from None


OWN_METHODS: Final[Mapping[str, Callable[[Context, Payload | None], Mapping[str, Any]]]] = {
    "push.ack": acknowledge,
}
