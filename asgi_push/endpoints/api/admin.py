"""The sessions of the process that answers, over HTTP, and its end."""

from collections.abc import Mapping
from typing import Any, cast

import anyio

from ... import clock
from ...names import check_channel
from ...protocols.exact import inexact
from ...push import Push, checked_over
from ...session import Session

Fields = Mapping[str, Any]

# How many sessions one answer tells of: what is asked for, else the first; never more than the second.
_SOME, _MOST = 100, 10_000


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
    queue = session.queue
    return {
        "client": session.id,
        "user": session.user,
        "protocol": session.protocol,
        "transport": session.transport,
        "remote": None if session.remote is None else session.remote[0],
        "connected": round(now - session.connected_at, 3),
        "seen": round(now - session.last_seen, 3),
        "channels": session.channels,
        "queued": 0 if queue is None else len(queue),
        "dropped": session.dropped,
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
