"""What operators do over HTTP: look at this process, drain it, and act on users' sessions."""

import os
import socket
from collections.abc import Mapping
from typing import Any, cast

import anyio
import orjson

from ... import clock
from ...connection import Connection
from ...core import Core, check_over
from ...disconnect import Disconnect
from ...hub.hub import Hub
from ...names import check_channel, check_own_channel, check_user
from ...protocols.lossless_json import as_float
from ...runner.control import Verb, encode_command
from ..package_version import package_version
from ..session_summary import summarize
from .fields import (
    DisconnectFields,
    DrainFields,
    InfoFields,
    RefreshFields,
    SessionsFields,
    SubscribeFields,
    Target,
    UnsubscribeFields,
)

Result = Mapping[str, Any]

# Sessions in one answer: how many without a limit, and the largest limit.
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 10_000

# How long a drain takes where neither the request nor drain_timeout says so, in seconds.
_DEFAULT_OVER = 10.0


# -- sessions of a user, in whichever process; a user without sessions is no error -----------------


async def subscribe(core: Core, fields: SubscribeFields) -> Result:
    """Subscribe a user's sessions, or one of them, to a channel."""
    channel = check_own_channel(fields.channel)
    data = fields.data
    if data is not None:
        payload = core.hub.encode(data)  # data that is too large is refused now
        if payload.kind == "json":
            # Inside the command it is one level deeper, which may be more than orjson writes.
            data = orjson.Fragment(payload.data)
    since = fields.recover_since
    return await _command(core, "subscribe", fields, channel=channel, data=data, since=since)


async def unsubscribe(core: Core, fields: UnsubscribeFields) -> Result:
    """Unsubscribe a user's sessions, or one of them, from a channel."""
    channel = check_own_channel(fields.channel)
    return await _command(core, "unsubscribe", fields, channel=channel)


async def disconnect(core: Core, fields: DisconnectFields) -> Result:
    """Close a user's sessions, or one of them, except for those on the whitelist."""
    given = fields.disconnect
    why = Disconnect.FORCE if given is None else Disconnect(given.code, given.reason).checked()
    keep = [session_id or "" for session_id in fields.whitelist]
    return await _command(core, "disconnect", fields, code=why.code, reason=why.reason, keep=keep)


async def refresh(core: Core, fields: RefreshFields) -> Result:
    """Set when a user's sessions, or one of them, expire: now, at a Unix time, or never."""
    at = 0 if fields.expired else fields.expire_at or None
    return await _command(core, "expire", fields, at=at)


async def _command(core: Core, verb: Verb, target: Target, **arguments: Any) -> Result:
    user = check_user(target.user)
    session = target.client or target.session or None
    message = encode_command(verb, user=user, session=session, **arguments)
    await core.hub.broker.command(message)
    return {}


# -- this process; in a thread whatever takes longer than the event loop may be held ---------------


async def info(core: Core, fields: InfoFields) -> Result:
    """Return how many sessions, users and channels this process has."""
    hub = core.hub
    return {"nodes": [await hub.threads.lookups.run(_node, hub)]}


def _node(hub: Hub) -> dict[str, Any]:
    sessions = hub.registry.sessions()
    channels = hub.registry.channels()
    return {
        "uid": hub.id,
        "name": f"{socket.gethostname()}_{os.getpid()}",
        "version": package_version(),
        "num_clients": len(sessions),
        "num_users": len({session.user for session in sessions}),
        "num_subs": sum(len(hub.registry.members(channel)) for channel in channels),
        "num_channels": len(channels),
        "uptime": int(clock.monotonic() - hub.started_at),
    }


async def sessions(core: Core, fields: SessionsFields) -> Result:
    """Return the sessions of this process, the oldest first: all, a user's, or a channel's."""
    if not 0 <= fields.limit <= _MAX_LIMIT:
        raise ValueError(f"limit: must be from 0 to {_MAX_LIMIT}")
    user = fields.user or None
    channel = check_channel(fields.channel) if fields.channel else None
    limit = fields.limit or _DEFAULT_LIMIT
    found = await core.hub.threads.lookups.run(_sessions, core, user, channel, limit)
    return cast(Result, found)


def _sessions(core: Core, user: str | None, channel: str | None, limit: int) -> Result:
    found = core.sessions(user, channel)
    now = clock.monotonic()
    shown = [_session(session, now) for session in found[:limit]]
    return {"sessions": shown, "num_clients": len(found)}


def _session(session: Connection, now: float) -> dict[str, Any]:
    found = summarize(session, now)
    return {
        "client": found.id,
        "user": found.user,
        "protocol": found.protocol,
        "transport": found.transport,
        "remote": None if found.remote is None else found.remote[0],
        "connected": round(found.age, 3),
        "seen": round(found.silent, 3),
        "channels": found.channels,
        "queued": found.queue_messages,
        "dropped": found.dropped,
    }


async def drain(core: Core, fields: DrainFields) -> Result:
    """Drain this process, and return how many sessions it had once all are closed.

    The drain goes on if the client that asked for it leaves.
    """
    over = as_float(fields.over)
    if over is None:
        over = core.settings.drain_timeout or _DEFAULT_OVER
    seconds = check_over(over)
    sessions = len(core.hub.registry)
    done = anyio.Event()
    core.hub.spawn(_drain, core, seconds, done)
    await done.wait()
    return {"num_clients": sessions}


async def _drain(core: Core, seconds: float, done: anyio.Event) -> None:
    try:
        await core.drain(seconds)
    finally:
        done.set()
