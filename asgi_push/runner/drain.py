"""Drains a process before it ends: closes its sessions over some time, so that they return so."""

from collections.abc import Sequence

import anyio

from .. import clock
from ..connection import Connection
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..logs import logger

# Seconds between two times at which sessions are closed.
_TICK = 0.05

# How long one of these waits for earlier publications to be handed out, in seconds.
_SETTLE = 1.0


def due(sessions: int, over: float, elapsed: float) -> int:
    """Return how many of the sessions must be closed after ``elapsed`` of ``over`` seconds."""
    return sessions if elapsed >= over else int(sessions * elapsed / over)


async def drain(hub: Hub, over: float) -> int:
    """Refuse new sessions, and close the others evenly over ``over`` seconds; return their number.

    Sessions that are still there get what is published. A drain takes ``over``, and a few seconds
    more for sessions that do not take their close frame. Several drains may run: each closes the
    oldest sessions first, so the fastest decides. A drain goes on if its caller is cancelled.
    """
    hub.accepting = False
    sessions = hub.registry.sessions()
    done = anyio.Event()
    logger.info("draining %d sessions over %g s", len(sessions), over)
    hub.spawn(_send_away, hub, sessions, over, done)
    await done.wait()
    return len(sessions)


async def _send_away(
    hub: Hub, sessions: Sequence[Connection], over: float, done: anyio.Event
) -> None:
    try:
        await _close_all(hub, sessions, over)
    finally:
        done.set()


async def _close_all(hub: Hub, sessions: Sequence[Connection], over: float) -> None:
    began = clock.monotonic()
    closed = 0
    while closed < len(sessions) and len(hub.registry):
        now_due = due(len(sessions), over, clock.monotonic() - began)
        if now_due > closed:
            with anyio.move_on_after(_SETTLE):
                await hub.fanout.settled()
            for session in sessions[closed:now_due]:
                hub.close(session, Disconnect.SHUTDOWN)
            closed = now_due
        else:
            await anyio.sleep(_TICK)
    for session in hub.registry.sessions():  # one that was on its way in when this began
        hub.close(session, Disconnect.SHUTDOWN)
    await hub.see_off()
