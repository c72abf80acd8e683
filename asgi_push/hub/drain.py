"""Sending sessions away before a process ends: not all at once, so that they do not come back all at once."""

from collections.abc import Sequence

import anyio

from .. import clock
from ..connection import Connection
from ..disconnect import Disconnect
from ..logs import logger
from .hub import Hub

# How often those are closed whose time has come, in seconds.
_TICK = 0.05

# How long one tick waits for the publications that came before it to be handed out, in seconds.
_SETTLE = 1.0


def due(sessions: int, over: float, elapsed: float) -> int:
    """Return how many of so many sessions must be closed by now, for all to be so after ``over`` seconds."""
    return sessions if elapsed >= over else int(sessions * elapsed / over)


async def drain(hub: Hub, over: float) -> int:
    """Refuse new sessions from now on, and close those that there are, spread evenly over so many seconds.

    Publications go on reaching who is still there. Return how many sessions there were, in a bounded time: ``over``,
    and a few seconds for those that do not take their close frame. Several drains may run: each goes by age, so the
    fastest decides. It goes on if whoever asked for it is cancelled: there is no way back.
    """
    hub.accepting = False
    sessions, done = hub.registry.sessions(), anyio.Event()
    logger.info("draining %d sessions over %g s", len(sessions), over)
    hub.spawn(_send_away, hub, sessions, over, done)
    await done.wait()
    return len(sessions)


async def _send_away(hub: Hub, sessions: Sequence[Connection], over: float, done: anyio.Event) -> None:
    try:
        await _close_all(hub, sessions, over)
    finally:
        done.set()


async def _close_all(hub: Hub, sessions: Sequence[Connection], over: float) -> None:
    began, closed = clock.monotonic(), 0
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
