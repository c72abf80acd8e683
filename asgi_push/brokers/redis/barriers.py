"""Barriers: messages that this process has Redis send to itself.

Redis sends what is published in one order. So when a barrier arrives, all that was published
before it has arrived, or is lost.
"""

import asyncio
from itertools import count

from ...messages import StreamPosition
from ..deliveries import reach
from .streams import Streams

# What a message to this process begins with that is a barrier.
BARRIER = b"barrier"


class Barriers:
    """Tells whether what is missing in a channel is still on its way, or lost."""

    def __init__(self, streams: Streams, own: bytes, patience: float) -> None:
        self._streams = streams
        self._own = own  # the name to which messages for this process alone are published
        self._patience = patience
        self._numbers = count()
        self._waiting: dict[bytes, asyncio.Future[None]] = {}  # by number
        self._checked: dict[str, asyncio.Future[None]] = {}  # by the channel that is checked

    async def wait(self, channel: str, known: StreamPosition | None) -> StreamPosition | None:
        """Send a barrier behind a channel's publications, and wait until it arrives.

        Returns:
            Where the stream stood when the barrier was sent: what is not here up to there is
            lost. None if that cannot be said, because the barrier or the connection was lost,
            or because somebody else found out that something is missing.
        """
        number = str(next(self._numbers)).encode()
        barrier = asyncio.get_running_loop().create_future()
        self._waiting[number] = barrier
        self._checked[channel] = barrier
        try:
            top, _ = await self._streams.look(channel, known, self._own, BARRIER + b":" + number)
            await asyncio.wait([barrier], timeout=self._patience)
        finally:
            del self._waiting[number]
            del self._checked[channel]
        return top if barrier.done() and not barrier.cancelled() else None

    def on_barrier(self, number: bytes) -> None:
        """Note that a barrier has arrived."""
        if (barrier := self._waiting.get(number)) is not None:
            reach(barrier)

    def cancel(self, channel: str) -> None:
        """End the wait for a channel's barrier, as something is known to be missing without it."""
        if (barrier := self._checked.get(channel)) is not None:
            barrier.cancel()

    def cancel_all(self) -> list[str]:
        """End all waits, as no barrier arrives any more; return the channels to check again."""
        for barrier in self._waiting.values():
            barrier.cancel()
        return list(self._checked)
