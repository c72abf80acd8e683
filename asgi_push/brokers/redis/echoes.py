"""Publications of this process that have not come back yet.

A publish returns only when what it published has been delivered here, too. So whatever is sent to a
session after that also comes after it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from ...messages import StreamPosition
from ..deliveries import Deliveries, Marker, reach
from ..envelope import mark_of
from .cursor import Cursor

# How long a publish waits for its publication to come back, in seconds. That is how much a process
# may still have to deliver before the order of publish and send is given up.
_ECHO_TIME = 5.0


class Echoes:
    """Waits for publications to come back, with a place in a stream or without."""

    def __init__(self, process_id: str, deliveries: Deliveries) -> None:
        self._id = process_id
        self._deliveries = deliveries
        self._numbers = count()
        # Of publications in no stream: their channels, and who waits, by the mark in the message.
        self._marks: dict[str, tuple[str, asyncio.Future[None]]] = {}

    @contextmanager
    def expect(self, channel: str) -> Iterator[tuple[str, asyncio.Future[None]]]:
        """Yield a mark for a publication without a stream, and a future: done when it returns."""
        mark = f"{self._id}.{next(self._numbers)}"
        came = asyncio.get_running_loop().create_future()
        self._marks[mark] = channel, came
        try:
            yield mark, came
        finally:
            del self._marks[mark]

    def came_back(self, message: bytes) -> None:
        """Let go who waits for a message in no stream, once all before it has been delivered."""
        if self._marks and (known := self._marks.get(mark_of(message))) is not None:
            self._deliveries.put(Marker(known[1]))

    async def wait_delivered(
        self, cursor: Cursor, position: StreamPosition, *, heard: bool
    ) -> None:
        """Return when the publication at a position has been delivered here, or does not come.

        `heard` is whether the channel is subscribed to now.
        """
        if cursor.reached(position):
            if (delivered := self._deliveries.mark()) is not None:
                await wait_in_time(delivered)
        elif heard:
            came = asyncio.get_running_loop().create_future()
            cursor.waiting = [*cursor.waiting, (position, came)]
            await wait_in_time(came)
            cursor.waiting = [waits for waits in cursor.waiting if waits[1] is not came]

    def passed(self, cursor: Cursor) -> None:
        """Let go who waits for a position that a cursor has reached, after what was put so far."""
        for position, came in cursor.waiting:
            if cursor.reached(position):
                self._deliveries.put(Marker(came))
        cursor.waiting = [waits for waits in cursor.waiting if not cursor.reached(waits[0])]

    def give_up(self, channel: str | None = None) -> None:
        """Let go who waits for what is in no stream: of one channel, or of all."""
        for marked, came in self._marks.values():
            if channel is None or marked == channel:
                reach(came)


async def wait_in_time(came: asyncio.Future[None]) -> None:
    """Wait until something came, but no longer than it may take."""
    over = asyncio.get_running_loop().call_later(_ECHO_TIME, reach, came)
    try:
        await came
    finally:
        over.cancel()


def let_go(cursor: Cursor) -> None:
    """Let go who waits for a position of a cursor that it will not reach."""
    for _, came in cursor.waiting:
        reach(came)
    cursor.waiting = []
