"""What is done with channels over HTTP: publishing, history, presence, and which there are."""

import base64
import binascii
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...messages import Payload, Publication, StreamPosition
from ...names import check_channel
from ...protocols.centrifuge import CommandError, ErrorCode
from ...protocols.centrifuge.commands import sparse
from ...protocols.centrifuge.json_codec import CODEC
from ...push import Push
from ...push import presence_stats as count
from ...registry import Registry
from ...session import Session, Subscription
from ..results import read_history, read_presence
from .glob import compile_glob
from .replies import answer

Fields = Mapping[str, Any]


async def publish(push: Push, fields: Fields) -> Fields:
    """Publish to a channel."""
    return await _publish(push, fields, _payload(push, fields), fields["channel"])


async def broadcast(push: Push, fields: Fields) -> Fields:
    """Publish the same to several channels; each has its own answer, in their order."""
    if not fields["channels"]:
        raise ValueError("channels: must be one at least")
    one = partial(_publish, push, fields, _payload(push, fields))
    return {"responses": [await answer(push, "broadcast", partial(one, channel)) for channel in fields["channels"]]}


async def _publish(push: Push, fields: Fields, payload: Payload, channel: str) -> Fields:
    publication = Publication(check_channel(channel), payload, tags=fields["tags"] or None)
    key = fields["idempotency_key"] or None
    position = (await push.hub.publish(publication, key, keep=not fields["skip_history"])).position
    return {} if position is None else sparse(offset=position.offset, epoch=position.epoch)


def _payload(push: Push, fields: Fields) -> Payload:
    data: Any = _bytes(fields["b64data"]) if fields["b64data"] else fields["data"]
    if data is None:
        raise ValueError("data: is missing")
    return push.hub.encode(data)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # the latter where it is not ASCII
        raise ValueError(f"b64data: {error}") from None


async def presence(push: Push, fields: Fields) -> Fields:
    """Say who is in a channel."""
    return {"presence": await read_presence(push, check_channel(fields["channel"]))}


async def presence_stats(push: Push, fields: Fields) -> Fields:
    """Say how many are in a channel."""
    stats = count(await read_presence(push, check_channel(fields["channel"])))
    return {"num_clients": stats.num_clients, "num_users": stats.num_users}


async def history(push: Push, fields: Fields) -> Fields:
    """Read a channel's history; without a limit its position alone."""
    channel, since = check_channel(fields["channel"]), fields["since"]
    position = since and StreamPosition(max(0, since["offset"]), since["epoch"])
    return await read_history(push.hub, CODEC, channel, fields["limit"], position, fields["reverse"])


async def history_remove(push: Push, fields: Fields) -> Fields:
    """Forget a channel's history, not its position."""
    channel, hub = check_channel(fields["channel"]), push.hub
    if hub.namespaces.stream(channel) is None:
        raise CommandError(ErrorCode.NOT_AVAILABLE)
    await hub.broker.remove_history(channel)
    return {}


async def channels(push: Push, fields: Fields) -> Fields:
    """Say which channels of this process have sessions in them, and how many.

    They are looked for in a thread: with very many of them that takes longer than the event loop may be held.
    """
    pattern = compile_glob(fields["pattern"] or "*")
    return {"channels": await push.hub.threads.lookups.run(_channels, push.hub.registry, pattern)}


def _channels(registry: Registry[Session, Subscription], pattern: re.Pattern[str]) -> dict[str, Any]:
    found = {channel: len(registry.members(channel)) for channel in registry.channels() if pattern.match(channel)}
    return {channel: {"num_clients": members} for channel, members in found.items() if members}
