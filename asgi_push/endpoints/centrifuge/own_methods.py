"""The methods of ``rpc`` that are this package's own: a client confirms and answers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ...messages import Payload, StreamPosition, parse_id
from ...protocols import lossless_json
from ...protocols.centrifuge import CommandError, ErrorCode
from ...questions.responder import Answered
from ...receipts.acknowledgements import Acknowledged
from .context import Context

# The errors for acknowledgements that are passed over.
_ERRORS: Final = {
    Acknowledged.NOT_SUBSCRIBED: ErrorCode.UNKNOWN_CHANNEL,
    Acknowledged.NO_POSITION: ErrorCode.NOT_AVAILABLE,
    Acknowledged.OTHER_EPOCH: ErrorCode.UNRECOVERABLE_POSITION,
    Acknowledged.NOT_SENT: ErrorCode.BAD_REQUEST,
}


async def acknowledge(context: Context, data: Payload | None) -> Mapping[str, Any]:
    """Take ``{"channel", "offset"}``: the client has everything in the channel up to the offset.

    Returns once what it confirms is out of its user's inbox: a page that is opened anew after the
    reply does not get it again.

    In place of the offset may be the ``id`` of a publication. Or ``{"id"}`` alone: it has what was
    sent to it alone with that id.

    Raises:
        CommandError: it was not sent that, or the data is something else.
        BrokerError: the broker does not know yet of what the client confirmed.
    """
    match _fields(data):
        case {"channel": str(channel), "offset": int(offset), **rest}:
            position = StreamPosition(offset, str(rest.get("epoch", "")))
        case {"channel": str(channel), "id": str(text)} if (found := parse_id(text)) is not None:
            position = found
        case {"id": str(message_id)}:
            return _answer(context, message_id, None)
        case _:
            raise CommandError(ErrorCode.BAD_REQUEST)
    outcome = context.hub.acknowledgements.acknowledge(context.session, channel, position)
    if outcome in _ERRORS:
        raise CommandError(_ERRORS[outcome])
    await context.hub.inbox.wait_confirmed(context.session, channel, position)
    return {}


async def answer(context: Context, data: Payload | None) -> Mapping[str, Any]:
    """Take ``{"id", "data"}``: the answer to a question. A late one is no error, and not used.

    Raises:
        CommandError: the client was not asked that, or the data is something else.
    """
    match _fields(data):
        case {"id": str(question_id), **rest}:
            return _answer(context, question_id, rest.get("data"))
    raise CommandError(ErrorCode.BAD_REQUEST)


def _answer(context: Context, question_id: str, data: Any) -> Mapping[str, Any]:
    try:
        encoded = lossless_json.dumps(data)
    except ValueError:
        raise CommandError(ErrorCode.BAD_REQUEST) from None
    if context.hub.responder.answer(context.session, question_id, encoded) is Answered.NOT_ASKED:
        raise CommandError(ErrorCode.PERMISSION_DENIED)
    return {}


def _fields(data: Payload | None) -> Any:
    try:
        return None if data is None else lossless_json.loads(data.data.decode())
    except ValueError:
        raise CommandError(ErrorCode.BAD_REQUEST) from None


_Method = Callable[[Context, Payload | None], Awaitable[Mapping[str, Any]]]

OWN_METHODS: Final[Mapping[str, _Method]] = {
    "push.ack": acknowledge,
    "push.answer": answer,
}
