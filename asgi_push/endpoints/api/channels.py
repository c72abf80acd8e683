"""What applications do with channels over HTTP: publish, read history and presence, list them."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...connection import Connection
from ...core import Core
from ...core import presence_stats as count
from ...messages import Payload, Publication, PublishResult, StreamPosition, position_id
from ...names import check_channel, user_of
from ...protocols.centrifuge import CommandError, ErrorCode
from ...protocols.centrifuge.commands import sparse
from ...protocols.centrifuge.json_codec import CODEC, dumps, publication_fields
from ...protocols.lossless_json import as_float
from ...registry import Registry
from ...subscription import Subscription
from ..results import read_history, read_presence
from .fields import (
    AskFields,
    BroadcastFields,
    ChannelName,
    ChannelsFields,
    HistoryFields,
    PublishFields,
)
from .glob import compile_glob
from .replies import reply

Result = Mapping[str, Any]


async def publish(core: Core, fields: PublishFields) -> Result:
    """Publish to a channel; return the position of the publication, and who has confirmed it."""
    _check_options(fields)
    if fields.inbox:
        return await _publish_into_inbox(core, fields, fields.channel)
    if fields.confirm is not None:
        return (await _publish_confirmed(core, fields, [check_channel(fields.channel)]))[0]
    return await _publish(core, fields, _payload(core, fields), fields.channel)


async def broadcast(core: Core, fields: BroadcastFields) -> Result:
    """Publish the same to several channels; return a reply for each, in their order."""
    if not fields.channels:
        raise ValueError("channels: must be one at least")
    _check_options(fields)
    if fields.confirm is not None:
        if fields.inbox:
            raise ValueError("confirm: not with inbox, but in publish")
        channels = [check_channel(channel or "") for channel in fields.channels]
        results = await _publish_confirmed(core, fields, channels)
        return {"responses": [{"result": result} for result in results]}
    payload = _payload(core, fields)
    responses = []
    for channel in fields.channels:
        if fields.inbox:
            call = partial(_publish_into_inbox, core, fields, channel or "")
        else:
            call = partial(_publish, core, fields, payload, channel or "")
        responses.append(await reply(core, "broadcast", call))
    return {"responses": responses}


def _check_options(fields: PublishFields | BroadcastFields) -> None:
    if fields.undelivered_after is not None and not fields.inbox:
        raise ValueError("undelivered_after: needs inbox")
    if fields.confirm is not None and fields.skip_history:
        raise ValueError("confirm: needs the history, so not with skip_history")


async def _publish(
    core: Core,
    fields: PublishFields | BroadcastFields,
    payload: Payload,
    channel: str,
) -> Result:
    publication = Publication(check_channel(channel), payload, tags=_tags(fields))
    key = fields.idempotency_key or None
    result = await core.hub.publish(publication, key, keep=not fields.skip_history)
    return _position(result)


async def _publish_confirmed(
    core: Core, fields: PublishFields | BroadcastFields, channels: list[str]
) -> list[Result]:
    """Publish to channels, which have been checked, and wait once for all of them."""
    confirm = as_float(fields.confirm)
    key = fields.idempotency_key or None
    results = await core.confirming.publish_to_each(
        confirm, channels, data_of(fields), _tags(fields), key
    )
    return [_confirmed(result) for result in results]


async def _publish_into_inbox(
    core: Core, fields: PublishFields | BroadcastFields, channel: str
) -> Result:
    user = user_of(channel)
    if not user:
        raise ValueError("inbox: is for the channel of a user, such as #11")
    for name in ("skip_history", "tags"):
        if getattr(fields, name):
            raise ValueError(f"{name}: not with inbox")
    after = as_float(fields.undelivered_after)
    confirm = as_float(fields.confirm)
    key = fields.idempotency_key or None
    result = await core.inbox.publish(user, data_of(fields), key, after, confirm, None)
    return _position(result) if confirm is None else _confirmed(result)


def _tags(fields: PublishFields | BroadcastFields) -> dict[str, str] | None:
    return {name: tag or "" for name, tag in fields.tags.items()} or None


def _confirmed(result: PublishResult) -> dict[str, Any]:
    return _position(result) | {"receivers": result.receivers, "confirmed": result.confirmed}


def _position(result: PublishResult) -> dict[str, Any]:
    if result.position is None:
        return {}
    return sparse(offset=result.position.offset, epoch=result.position.epoch)


def _payload(core: Core, fields: PublishFields | BroadcastFields) -> Payload:
    return core.hub.encode(data_of(fields))


def data_of(fields: PublishFields | BroadcastFields | AskFields) -> Any:
    """Return what is sent.

    Raises:
        ValueError: there is nothing, or it is no base64.
    """
    data: Any = _bytes(fields.b64data) if fields.b64data else fields.data
    if data is None:
        raise ValueError("data: is missing")
    return data


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError if the text is not ASCII
        raise ValueError(f"b64data: {error}") from None


async def presence(core: Core, fields: ChannelName) -> Result:
    """Return who is in a channel."""
    return {"presence": await read_presence(core, check_channel(fields.channel))}


async def presence_stats(core: Core, fields: ChannelName) -> Result:
    """Return how many sessions and users are in a channel."""
    stats = count(await read_presence(core, check_channel(fields.channel)))
    return {"num_clients": stats.num_clients, "num_users": stats.num_users}


async def history(core: Core, fields: HistoryFields) -> Result:
    """Return a part of a channel's history; without a limit only its position."""
    channel = check_channel(fields.channel)
    since = fields.since
    position = None if since is None else StreamPosition(max(0, since.offset), since.epoch)
    codec = TimedCodec()
    found = await read_history(core.hub, codec, channel, fields.limit, position, fields.reverse)
    return {**found, "id": position_id(StreamPosition(found["offset"], found["epoch"]))}


class TimedCodec:
    """Writes publications with their ids and times, which SDK clients are not told."""

    join_parts = staticmethod(CODEC.join_parts)

    def encode_part(self, publications: Sequence[Publication]) -> bytes:
        """Encode some of the publications."""
        return b",".join([dumps(_timed(publication)) for publication in publications])


def _timed(publication: Publication) -> dict[str, Any]:
    return publication_fields(publication) | sparse(id=publication.id, time=publication.time)


async def history_remove(core: Core, fields: ChannelName) -> Result:
    """Remove the publications of a channel's history; its position stays."""
    channel = check_channel(fields.channel)
    hub = core.hub
    if hub.namespaces.stream(channel) is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    await hub.broker.remove_history(channel)
    return {}


async def channels(core: Core, fields: ChannelsFields) -> Result:
    """Return the channels that have sessions in this process, and how many each has."""
    hub = core.hub
    pattern = compile_glob(fields.pattern or "*")
    # In a thread: with very many channels it takes longer than the event loop may be held.
    return {"channels": await hub.threads.lookups.run(_channels, hub.registry, pattern)}


def _channels(
    registry: Registry[Connection, Subscription],
    pattern: re.Pattern[str],
) -> dict[str, Any]:
    found = {}
    for channel in registry.channels():
        if pattern.match(channel):
            members = len(registry.members(channel))
            if members:
                found[channel] = {"num_clients": members}
    return found
