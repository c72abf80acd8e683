"""What is known of channels, over HTTP."""

import re
from collections.abc import Mapping
from typing import Any

from ...names import check_channel
from ...protocols.centrifuge import ErrorCode
from ...protocols.centrifuge.json_codec import CODEC
from ...push import Push
from ...push import presence_stats as count
from ...registry import Registry
from ...session import Session, Subscription
from ..centrifuge.channels import read_history, read_presence
from ..centrifuge.errors import CommandError
from .glob import compile_glob

Fields = Mapping[str, Any]


async def presence(push: Push, fields: Fields) -> Fields:
    """Say who is in a channel."""
    return {"presence": await read_presence(push, check_channel(fields["channel"]))}


async def presence_stats(push: Push, fields: Fields) -> Fields:
    """Say how many are in a channel."""
    stats = count(await read_presence(push, check_channel(fields["channel"])))
    return {"num_clients": stats.num_clients, "num_users": stats.num_users}


async def history(push: Push, fields: Fields) -> Fields:
    """Read a channel's history; without a limit its position alone."""
    return await read_history(push.hub, check_channel(fields["channel"]), fields, CODEC)


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
