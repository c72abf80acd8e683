"""Reads what is missing in a channel, and has it delivered before what came after it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ...messages import Notice, Publication, StreamPosition
from .control import COMMANDS
from .cursor import Feed
from .deliveries import Deliveries
from .streams import MORE_BYTES, Reading, Streams, parsed

Put = Callable[[Feed, Publication | Notice | None], None]
Tell = Callable[[str], None]


class Missing:
    """The channels in which something is missing that is being read; commands wait for it."""

    def __init__(self) -> None:
        self._channels: set[str] = set()
        self._nothing = asyncio.Event()

    def add(self, channel: str) -> None:
        """Something is missing in a channel."""
        self._channels.add(channel)
        self._nothing.clear()

    def discard(self, channel: str) -> None:
        """Nothing is missing in it any more."""
        self._channels.discard(channel)
        if not self._channels:
            self._nothing.set()

    async def over(self, patience: float) -> None:
        """Wait, but not for ever, until nothing is missing before a command that came.

        Where commands themselves are missing it waits with them, for ``Checks.others``.
        """
        if self._channels and COMMANDS not in self._channels:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._nothing.wait()


class CatchUp:
    """Fills the holes of feeds that hold what comes. One task a feed at a time."""

    def __init__(self, streams: Streams, deliveries: Deliveries, put: Put, lost: Tell) -> None:
        self._streams = streams
        self._deliveries = deliveries
        self._put = put
        self._lost = lost  # told of a channel in which something does not come any more

    async def run(self, channel: str, feed: Feed, top: StreamPosition | None) -> bool:
        """Fill the first hole, and let go what was held; return whether there is more to do.

        ``top`` is a place up to which all that has not come is missing for certain, None where only what was held
        behind the hole says so.
        """
        since, held = feed.position or StreamPosition(0, ""), feed.held
        reading = await self._streams.read(channel, since, anyway=True)
        epoch = reading.top.epoch
        for publication in feed.turn(epoch, held):  # of a life that is over, whose end nobody can read any more
            self._put(feed, publication)
        at = since.offset if reading.good else reading.before
        end = max(at, _end(feed, since, top, reading))
        whole = await self._fill(channel, feed, reading, StreamPosition(at, epoch), end)
        if not whole:
            return True  # another life began meanwhile
        dropped, feed.dropped = feed.dropped, False
        for publication in feed.release():
            self._put(feed, publication)
        self._put(feed, None)
        return dropped or feed.catching_up

    async def _fill(self, channel: str, feed: Feed, reading: Reading, at: StreamPosition, end: int) -> bool:
        """Deliver what is kept up to ``end``, or say that some of it is lost; False where it has to be begun anew."""
        told = False
        if not reading.good:
            told = self._tell(channel)
        while True:
            items = [item for item in parsed(channel, reading, at.epoch) if item.offset <= end]
            last = max(at.offset, min(reading.last, end)) if reading.bodies else end
            if len(items) < last - at.offset and not told:
                told = self._tell(channel)
            at = StreamPosition(last, at.epoch)
            feed.move(at)
            for item in items:
                self._put(feed, item)
            if last >= end:
                return True
            if self._deliveries.full:
                await self._deliveries.room()
            reading = await self._streams.read(channel, at, most=MORE_BYTES)
            if reading.top.epoch != at.epoch:
                return False

    def _tell(self, channel: str) -> bool:
        self._lost(channel)
        return True


def _end(feed: Feed, since: StreamPosition, top: StreamPosition | None, reading: Reading) -> int:
    """Return up to which offset all is missing that has not come; what comes later may still be on its way."""
    epoch = reading.top.epoch
    if (end := feed.end_of_hole(epoch)) is not None:
        return end
    if top is not None and top.epoch == epoch:
        return top.offset
    return since.offset if since.epoch == epoch else reading.top.offset
