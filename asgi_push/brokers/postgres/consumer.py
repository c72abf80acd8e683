"""Reads what came in the channels that this process hears, and queues it for delivery."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from ... import clock
from ...errors import BrokerError
from ...logs import RateLimit
from ...messages import StreamPosition
from .. import envelope
from ..deliveries import ControlMessage, Deliveries, Lost, Marker, reach
from .cursor import Cursor, Row
from .functions import CLOCK, LOOK, PLACE, READ, RESUME
from .pipeline import PostgresPipeline
from .reorder_buffer import ReorderBuffer

# Commands are published like everything else, to the channel that no application can name.
COMMANDS = ""

# Items of a channel, and channels, in one reading.
_ITEMS = 200
_CHANNELS = 200

# How soon a reading that failed is tried again, in seconds.
_AGAIN = 0.5

# At most one line in so many seconds, of all failures.
_QUIET = 10.0


class Consumer:
    """One task reads, so that what is put in the queue has one order.

    A command comes after all that was there when it was given, and before all that came later:
    of each item it is known in which transaction it was published, and of a command which
    transactions it saw.
    """

    def __init__(
        self, pipeline: PostgresPipeline, deliveries: Deliveries, commands_lost: Callable[[], None]
    ) -> None:
        self.cursors: dict[str, Cursor] = {}
        self._pipeline = pipeline
        self._deliveries = deliveries
        self._commands_lost = commands_lost
        self._wanted: set[str] = set()
        self._commands_up_to = 0
        self._all_commands = False
        self._work = asyncio.Event()
        self._quiet = RateLimit(_QUIET)

    # -- what is to be read ----------------------------------------------------------------------

    def want(self, channels: Iterable[str]) -> None:
        """Read channels, if they are heard here."""
        self._wanted.update(channel for channel in channels if channel in self.cursors)
        if self._wanted:
            self._work.set()

    def want_commands(self, up_to: int) -> None:
        """Read commands up to a place; others may come after something that is not known yet."""
        self._commands_up_to = max(up_to, self._commands_up_to)
        self.want([COMMANDS])

    def want_all(self) -> None:
        """Read everything: something may have been missed."""
        self._all_commands = True
        self.want(list(self.cursors))

    def wanted(self, channel: str) -> Cursor:
        """Return the cursor of a channel that somebody wants to hear now."""
        cursor = self.cursors.setdefault(channel, Cursor())
        cursor.unwanted_at = None
        return cursor

    def position(self, channel: str) -> StreamPosition | None:
        """Return where a channel that is heard stands here, if that is not in doubt."""
        cursor = self.cursors.get(channel)
        return None if cursor is None else cursor.told

    def learn(self, channel: str, position: StreamPosition) -> None:
        """Note which life a stream is in, if nothing was published in it yet."""
        if (cursor := self.cursors.get(channel)) is not None:
            cursor.learn(position)

    async def begin(self, channels: Iterable[str]) -> None:
        """Find out where channels stand now; what is published from then on comes.

        In one that somebody has joined before, in vain, all comes that was published since then.
        """
        names = [name for name in channels if not self.cursors[name].begun]
        looks = [self._pipeline.call(LOOK, name) for name in names]
        for name, (found,) in zip(names, await asyncio.gather(*looks), strict=True):
            if (cursor := self.cursors.get(name)) is not None:
                since = cursor.missed_since
                cursor.begin(*(found if since is None else await self._place_at(name, since)))
        self.want(names)  # something may have been said of them meanwhile

    def _missed(self, channel: str) -> bool:
        return self.cursors[channel].missed_since is not None

    async def _place_at(self, channel: str, since: float) -> tuple[Any, ...]:
        """Return where a channel stood at a time of the clock here, or a moment before that.

        The server tells its time first: as the answer is late, the place is never one after.
        """
        ((now,),) = await self._pipeline.call(CLOCK)
        age = clock.monotonic() - since
        (place,) = await self._pipeline.call(PLACE, channel, now - age)
        return place

    # -- the reading -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Read what is wanted, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            names, self._wanted = self._wanted, set()
            up_to = self._commands_up_to
            whole = self._all_commands
            self._all_commands = False
            try:
                if whole:
                    # Whoever joins another that has not begun has it begun.
                    missed = [name for name in names & self.cursors.keys() if self._missed(name)]
                    await self.begin(missed)
                await self._round(names, None if whole else up_to)
            except Exception as error:  # noqa: BLE001  # what was wanted is read later
                self._say(error)
                self._all_commands |= whole
                await asyncio.sleep(_AGAIN)
                self.want(names)

    async def _round(self, names: set[str], commands_up_to: int | None) -> None:
        commands = list[Row]()
        if COMMANDS in names:
            commands = await self._read_commands(commands_up_to)
        buffer = ReorderBuffer(commands)
        await self._read_all(names - {COMMANDS}, buffer)
        for command in commands:
            self._deliver_all(buffer.release(command))
            if self._take(self.cursors[COMMANDS], command):
                self._deliveries.put(ControlMessage(*bytes(command.body or b"").split(b"\n", 1)))
        self._deliver_all(buffer.release(None))

    async def _read_commands(self, up_to: int | None) -> list[Row]:
        found = list[Row]()
        cursor = self.cursors.get(COMMANDS)
        if cursor is None or not cursor.begun:
            return found
        seq = cursor.seq
        while True:
            rows = await self._read([COMMANDS], [seq])
            if not cursor.continues(next(iter(rows), None)):
                await self._resume(COMMANDS, cursor)
                seq = cursor.seq
                continue
            taken = [row for row in rows if up_to is None or (row.seq or row.last) <= up_to]
            found += taken
            if len(taken) < _ITEMS:
                return found
            seq = taken[-1].seq or seq

    async def _read_all(self, names: set[str], buffer: ReorderBuffer) -> None:
        """Read all that is in channels, and deliver what nothing holds."""
        left = {
            name: cursor for name in names if (cursor := self.cursors.get(name)) and cursor.begun
        }
        doubted = {name for name, cursor in left.items() if cursor.in_doubt}
        while left:
            together = dict(islice(left.items(), _CHANNELS))
            places = [buffer.last(name) or cursor.seq for name, cursor in together.items()]
            rows = await self._read(list(together), places)
            first = {row.channel: row for row in reversed(rows)}
            changed = {name for name in together if not together[name].continues(first.get(name))}
            for row in rows:
                cursor = together[row.channel]
                if row.channel not in changed and not buffer.hold(cursor, row):
                    self._deliver(cursor, row)
            for name in changed:
                await self._resume(name, together[name])
            for name in together.keys() - changed - _unfinished(rows):
                cursor = left.pop(name)
                cursor.in_doubt &= name not in doubted
            if self._deliveries.full:
                await self._deliveries.wait_capacity()

    async def _read(self, names: list[str], places: list[int]) -> list[Row]:
        rows = await self._pipeline.call(READ, names, places, _ITEMS)
        return [Row(*row) for row in rows]

    async def _resume(self, channel: str, cursor: Cursor) -> None:
        """Go on in the life that a channel has now."""
        ((epoch, seq, top, whole),) = await self._pipeline.call(
            RESUME, channel, cursor.epoch, cursor.seq
        )
        cursor.move(epoch, seq, cursor.offset if top is None else top)
        for came in cursor.let_go():
            reach(came)
        if not whole:
            self._tell_lost(channel)

    # -- what was read ---------------------------------------------------------------------------

    def _deliver_all(self, rows: Iterable[tuple[Cursor, Row]]) -> None:
        for cursor, row in rows:
            self._deliver(cursor, row)

    def _take(self, cursor: Cursor, row: Row) -> bool:
        new, lost = cursor.take(row)
        if lost:
            self._tell_lost(row.channel)
        return new and row.body is not None

    def _deliver(self, cursor: Cursor, row: Row) -> None:
        if self.cursors.get(row.channel) is not cursor:
            return  # it was forgotten meanwhile, and another may read the same
        if self._take(cursor, row):
            body = bytes(row.body or b"")
            epoch = row.epoch if row.offset else ""
            item = envelope.parse_body(row.channel, body, row.offset or 0, epoch)
            if item is not None:
                self._deliveries.put(item)
            elif isinstance(row.offset, int):
                self._deliveries.put(Lost(row.channel))
        for came in cursor.reached():
            self._deliveries.put(Marker(came))

    def _tell_lost(self, channel: str) -> None:
        if channel == COMMANDS:
            self._commands_lost()
        else:
            self._deliveries.put(Lost(channel))

    def _say(self, error: Exception) -> None:
        if isinstance(error, BrokerError):  # the pipeline has said it
            return
        message = "what came from PostgreSQL could not be read"
        self._quiet.log(logging.ERROR, clock.monotonic(), message, exc_info=True)


def _unfinished(rows: Iterable[Row]) -> set[str]:
    """Return the channels of which more is to be read: the last row is not of its last item."""
    last = {row.channel: row for row in rows}
    return {name for name, row in last.items() if row.seq is not None and row.seq < row.last}
