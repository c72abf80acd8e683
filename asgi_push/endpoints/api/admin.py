"""What operators do over HTTP: they look at this process, drain it, and act on users' sessions."""

import os
import socket
from collections.abc import Mapping
from typing import Any, cast

import anyio
import orjson

from ... import clock
from ...disconnect import Disconnect
from ...hub.control import Verb, encode_command
from ...hub.hub import Hub
from ...names import check_channel, check_own_channel, check_user
from ...protocols.exact import inexact
from ...push import Push, checked_over
from ...session import Session
from ..package_version import package_version
from ..session_summary import summarize

Fields = Mapping[str, Any]

# How many sessions one answer tells of: what is asked for, else the first; never more than the second.
_SOME, _MOST = 100, 10_000


async def subscribe(push: Push, fields: Fields) -> Fields:
    """Put a user's sessions, or one of them, into a channel."""
    data, channel = fields["data"], check_own_channel(fields["channel"])
    if data is not None:
        payload = push.hub.encode(data)  # here is who can be told that it is too large
        if payload.kind == "json":
            data = orjson.Fragment(payload.data)  # what carries it is one level more than orjson may write
    return await _command(push, "subscribe", fields, channel=channel, data=data, since=fields["recover_since"])


async def unsubscribe(push: Push, fields: Fields) -> Fields:
    """Take a user's sessions, or one of them, out of a channel."""
    return await _command(push, "unsubscribe", fields, channel=check_own_channel(fields["channel"]))


async def disconnect(push: Push, fields: Fields) -> Fields:
    """Close a user's sessions, or one of them, but for those on the whitelist."""
    custom = fields["disconnect"]
    reason = Disconnect(custom["code"], custom["reason"]).checked() if custom is not None else Disconnect.FORCE
    return await _command(push, "disconnect", fields, code=reason.code, reason=reason.reason, keep=fields["whitelist"])


async def refresh(push: Push, fields: Fields) -> Fields:
    """Have a user's sessions, or one of them, end at a Unix time in seconds, now, or never."""
    at = 0 if fields["expired"] else fields["expire_at"] or None
    return await _command(push, "expire", fields, at=at)


async def _command(push: Push, verb: Verb, fields: Fields, **arguments: Any) -> Fields:
    one = fields["client"] or fields["session"] or None
    message = encode_command(verb, user=check_user(fields["user"]), session=one, **arguments)
    await push.hub.broker.command(message)
    return {}


async def info(push: Push, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say how much is going on in this process; counted in a thread, as it takes long."""
    return {"nodes": [await push.hub.threads.lookups.run(_node, push.hub)]}


def _node(hub: Hub) -> dict[str, Any]:
    sessions, channels = hub.registry.sessions(), hub.registry.channels()
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


async def sessions(push: Push, fields: Fields) -> Fields:
    """Tell of the sessions of this process, the oldest first: all, a user's, a channel's, or those in both."""
    if not 0 <= fields["limit"] <= _MOST:
        raise ValueError(f"limit: must be from 0 to {_MOST}")
    channel = check_channel(fields["channel"]) if fields["channel"] else None
    # In a thread: with very many of them that takes longer than the event loop may be held.
    found = await push.hub.threads.lookups.run(
        _sessions, push, fields["user"] or None, channel, fields["limit"] or _SOME
    )
    return cast(Fields, found)


def _sessions(push: Push, user: str | None, channel: str | None, limit: int) -> Fields:
    found, now = push.sessions(user, channel), clock.monotonic()
    return {"sessions": [_session(session, now) for session in found[:limit]], "num_clients": len(found)}


def _session(session: Session, now: float) -> dict[str, Any]:
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


async def drain(push: Push, fields: Fields) -> Fields:
    """Drain this process; the answer comes when that is done. It goes on if who asked for it does not wait."""
    asked = inexact(fields["over"])
    over = checked_over(push.settings.drain_timeout or 10.0 if asked is None else asked)
    sessions, done = len(push.hub.registry), anyio.Event()
    push.hub.spawn(_drain, push, over, done)
    await done.wait()
    return {"num_clients": sessions}


async def _drain(push: Push, over: float, done: anyio.Event) -> None:
    try:
        await push.drain(over)
    finally:
        done.set()
