"""Reads what is missing in a channel, and has it delivered before what came after it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ...messages import JoinLeave, Publication, StreamPosition
from ..deliveries import Deliveries
from .control import COMMANDS
from .cursor import Cursor
from .streams import MORE_BYTES, Reading, Streams, parsed

PutResult = Callable[[Cursor, Publication | JoinLeave | None], None]
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

    async def wait(self, patience: float) -> None:
        """Wait, but not for ever, until nothing is missing before a command that came.

        Where commands themselves are missing it waits with them, for ``Checks.others``.
        """
        if self._channels and COMMANDS not in self._channels:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._nothing.wait()


class CatchUp:
    """Fills the holes of cursors that hold what comes. One task a cursor at a time."""

    def __init__(
        self, streams: Streams, deliveries: Deliveries, put: PutResult, lost: Tell
    ) -> None:
        self._streams = streams
        self._deliveries = deliveries
        self._put = put
        self._lost = lost  # told of a channel in which something does not come any more

    async def run(self, channel: str, cursor: Cursor, top: StreamPosition | None) -> bool:
        """Fill the first hole, and let go what was held; return whether there is more to do.

        Up to ``top`` all that has not come is missing for certain. It is None if only what was
        held behind the hole says so.
        """
        since = cursor.position or StreamPosition(0, "")
        asked = cursor.held
        reading = await self._streams.read(channel, since, anyway=True)
        if cursor.gone:
            return False
        at = StreamPosition(since.offset if reading.good else reading.before, reading.top.epoch)
        at, lost = cursor.change_epoch(at, reading.past, asked)
        told = self._put_orphans(channel, cursor, at.offset, lost=lost or not reading.good)
        # What came later than this reading is behind a hole that only the next one shows.
        end = max(at.offset, min(reading.top.offset, _end(cursor, since, top, reading)))
        whole = await self._fill(channel, cursor, reading, end, told=told)
        if not whole:
            return not cursor.gone  # another epoch began meanwhile
        dropped, cursor.dropped = cursor.dropped, False
        self._put_all(channel, cursor, cursor.release())
        self._put_orphans(channel, cursor, end if cursor.catching_up else None)
        self._put(cursor, None)
        return dropped or cursor.catching_up

    async def _fill(
        self, channel: str, cursor: Cursor, reading: Reading, end: int, *, told: bool
    ) -> bool:
        """Deliver what is kept up to ``end``, or say that some of it is lost.

        ``told`` is whether that was said just now. Returns False if it has to begin anew.
        """
        at = cursor.position or StreamPosition(0, "")
        while True:
            items = [item for item in parsed(channel, reading, at.epoch) if item.offset <= end]
            last = max(at.offset, min(reading.last, end)) if reading.bodies else end
            if len(items) < last - at.offset and not told:
                self._lost(channel)
                told = True
            at = StreamPosition(last, at.epoch)
            cursor.move(at)
            self._put_all(channel, cursor, items)
            if last >= end:
                return True
            if self._deliveries.full:
                await self._deliveries.wait_capacity()
            reading = await self._streams.read(channel, at, most=MORE_BYTES)
            if cursor.gone or reading.top.epoch != at.epoch:
                return False

    def _put_all(self, channel: str, cursor: Cursor, items: list[Publication]) -> None:
        """Deliver publications in order, and before each what Redis lost before it."""
        for item in items:
            self._put_orphans(channel, cursor, item.offset - 1)
            self._put(cursor, item)

    def _put_orphans(
        self, channel: str, cursor: Cursor, offset: int | None, *, lost: bool = False
    ) -> bool:
        """Deliver what was heard although Redis has lost it, and tell of what is lost for good."""
        orphans = cursor.take_orphans(offset)
        for orphan in orphans:
            self._put(cursor, orphan)
        if orphans or lost:
            self._lost(channel)
        return lost or bool(orphans)


def _end(
    cursor: Cursor, since: StreamPosition, top: StreamPosition | None, reading: Reading
) -> int:
    """Return the offset up to which all that has not come is missing.

    What comes later may still be on its way.
    """
    epoch = reading.top.epoch
    if (end := cursor.end_of_hole(epoch)) is not None:
        return end
    if top is not None and top.epoch == epoch:
        return top.offset
    return since.offset if since.epoch == epoch else reading.top.offset
