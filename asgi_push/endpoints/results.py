"""Results that the SDK protocol and the HTTP API share, and what of a result can be encoded."""

from collections.abc import Mapping
from typing import Any

from ..core import Core
from ..delivery.history_encoder import HistoryCodec
from ..delivery.undeliverable import Undeliverable, without_position
from ..errors import UnrecoverablePosition
from ..hub.hub import Hub
from ..messages import ClientInfo, Publication, StreamPosition
from ..protocols.centrifuge import CommandError, ErrorCode, SdkCodec


async def read_history(
    hub: Hub,
    codec: HistoryCodec,
    channel: str,
    limit: int,
    since: StreamPosition | None,
    reverse: bool,
) -> Mapping[str, Any]:
    """Return a part of a channel's history, encoded; with a limit of 0 only its position.

    Raises:
        CommandError: the channel keeps no history, or the position cannot be continued.
        BrokerError: the broker did not answer.
    """
    if hub.namespaces.stream(channel) is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    if reverse and since and since.offset == 0:
        raise CommandError(ErrorCode.BAD_REQUEST)
    try:
        found = await hub.broker.history(channel, limit, since, reverse)
    except UnrecoverablePosition:
        raise CommandError(ErrorCode.UNRECOVERABLE_POSITION) from None
    publications = await hub.history_encoder.encode(codec, found.publications, {})
    position = found.position
    return {"publications": publications, "offset": position.offset, "epoch": position.epoch}


async def read_presence(core: Core, channel: str) -> Mapping[str, ClientInfo]:
    """Return who is in a channel, by session id.

    Raises:
        CommandError: the channel's namespace has no presence.
    """
    if not core.hub.namespaces.options(channel).presence:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    return await core.presence(channel)


def encodable(
    codec: SdkCodec,
    result: Mapping[str, Any],
    undeliverable: Undeliverable,
) -> dict[str, Any]:
    """Return the parts of a result that can be encoded.

    Publications that cannot be encoded are left out, and so is the info of a client. One
    publication must not keep a client from all others.

    A recovered subscription that lost a publication counts as not recovered, at the top of its
    stream. The other publications come without an offset, so that the client does not ask for the
    missing one again.
    """
    found = {name: _encodable_value(codec, value, undeliverable) for name, value in result.items()}
    publications = result.get("publications")
    if not isinstance(publications, list):  # there are none, or they are encoded already
        return found
    if len(found.get("publications", ())) < len(publications) and result.get("recoverable"):
        found.pop("recovered", None)
        found["offset"] = publications[-1].offset
        found["publications"] = list(map(without_position, found["publications"]))
    return found


def _encodable_value(codec: SdkCodec, value: Any, undeliverable: Undeliverable) -> Any:
    if isinstance(value, Mapping):
        return encodable(codec, value, undeliverable)
    if isinstance(value, list) and all(isinstance(item, Publication) for item in value):
        return undeliverable.carried(codec, value)
    if isinstance(value, ClientInfo):
        return _encodable_info(codec, value, undeliverable)
    return value


def _encodable_info(codec: SdkCodec, info: ClientInfo, undeliverable: Undeliverable) -> ClientInfo:
    try:
        codec.push("", "join", {"info": info})
    except Exception:  # noqa: BLE001  # whatever it is, the user and the session can be told
        undeliverable.note(codec.name, "")
        return ClientInfo(info.user, info.client)
    return info
