"""What the page's table shows, and the task that pushes it."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

from asgi_push import Disconnect, Push, Session

CHANNEL = "demo:sessions"
MONITOR = "monitor"
REFRESH = 1.0  # seconds between two pushes of the list when nothing but the ages has changed
SETTLE = 0.05  # seconds in which a burst of connects becomes one push
REMEMBERED = 50  # events kept for a page that opens later
QUOTED = 200  # characters shown of what a client said

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the server saw, for people to read."""

    number: int
    at: float
    kind: str
    text: str


@dataclass(slots=True)
class Board:
    """The sessions and the latest events, pushed to every page that watches the channel."""

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    # They begin with the time of day, so that after a restart they are above those a page has seen.
    numbers: Iterator[int] = field(
        default_factory=lambda: itertools.count(time.time_ns() // 1_000_000)
    )
    changed: anyio.Event = field(default_factory=anyio.Event)

    async def connected(self, session: Session) -> None:
        """Send the session its own id, which a page cannot know otherwise."""
        if session.user == MONITOR:
            self.changed.set()  # it wants the list at once
        else:
            self.note("good", f"{session.user} connected")
            await session.send({"session": session.id, "user": session.user})

    async def disconnected(self, session: Session, disconnect: Disconnect) -> None:
        if session.user != MONITOR:
            self.note("bad", f"{session.user} left: {disconnect.code} {disconnect.reason}".rstrip())

    async def said(self, session: Session, data: str | bytes) -> None:
        text = data if isinstance(data, str) else f"{len(data)} bytes"
        self.note("in", f"{session.user}: {text[:QUOTED]}")

    def note(self, kind: str, text: str) -> None:
        self.events.append(Event(next(self.numbers), time.monotonic(), kind, text))
        self.changed.set()

    async def keep_pushing(self, push: Push) -> None:
        """Push the list whenever it changes and each second, for as long as somebody watches."""
        while True:
            try:
                await self._push_when_due(push)
            except Exception:
                logger.exception("The demo could not push its list of sessions; trying again")
                await anyio.sleep(REFRESH)

    async def _push_when_due(self, push: Push) -> None:
        with anyio.move_on_after(REFRESH):
            await self.changed.wait()
        await anyio.sleep(SETTLE)
        self.changed = anyio.Event()
        if push.sessions(channel=CHANNEL):
            await push.publish(CHANNEL, self.snapshot(push, time.monotonic()))

    def snapshot(self, push: Push, now: float) -> dict[str, object]:
        """Return what a page shows.

        Ages are in seconds, because the server's monotonic clock means nothing to a page.
        """
        visible = sorted(
            (s for s in push.sessions() if s.user != MONITOR), key=lambda s: s.connected_at
        )
        events = [
            {"number": e.number, "ago": now - e.at, "kind": e.kind, "text": e.text}
            for e in self.events
        ]
        return {"sessions": [describe(session, now) for session in visible], "events": events}


def describe(session: Session, now: float) -> dict[str, object]:
    """Return one row of the table."""
    return {
        "id": session.id,
        "user": session.user,
        "protocol": session.protocol,
        "remote": ":".join(map(str, session.remote or ())),
        "age": now - session.connected_at,
        "silent": now - session.last_seen,
        "dropped": session.dropped,
    }
