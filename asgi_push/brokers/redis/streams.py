"""What is published to Redis, and kept there."""

import asyncio
from dataclasses import dataclass

from ... import clock
from ...messages import MAX_WHOLE, History, JoinLeave, Publication, PublishResult, StreamPosition
from ...randomness import random_text
from .. import envelope
from ..contract import IDEMPOTENCY_TTL, StreamOptions
from ..stream_reader import StreamReader
from .keys import Keys
from .pipeline import RedisPipeline
from .place_scripts import PLACE, TIME
from .scripts import LOOK, PUBLISH, PUBLISH_ONCE, READ

# How long a position outlives the publications and the last session that was in the channel, in
# seconds. A client that comes back after a week and missed nothing is told so. It costs about 150
# bytes a channel.
POSITION_TTL = 7 * 24 * 60 * 60.0
_POSITION_TTL_MS = round(POSITION_TTL * 1000)

# Bytes of one reading. The first is small, as thousands may go together in one round trip. What a
# channel has beyond that comes in larger ones, of so many channels at a time. A reading takes a few
# milliseconds to parse.
_FIRST_BYTES = 32 * 1024
MORE_BYTES = 256 * 1024
_LARGE_READINGS = 8

_NOWHERE = StreamPosition(0, "")

# So many streams may begin with the same epoch.
_MAX_OFFERED = 100


@dataclass(frozen=True, slots=True)
class Reading:
    """A part of a stream.

    ``past`` has the epochs before, the newest first, and the offset up to which each is a part of
    this one: up to there its publications have the same offsets here. What had a larger one was
    lost. ``good`` is whether the position that was asked about is a position in this epoch, too.
    ``bodies`` follow the offset ``before``, or, in a reversed reading, are those down to it.
    """

    top: StreamPosition
    good: bool
    before: int
    bodies: list[bytes]
    past: dict[str, int]

    @property
    def last(self) -> int:
        """The largest offset in it, or ``before``."""
        return self.before + len(self.bodies)


class Streams(StreamReader):
    """The streams of all channels on one Redis server, or cluster."""

    def __init__(self, pipeline: RedisPipeline, keys: Keys) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._large = asyncio.Semaphore(_LARGE_READINGS)
        self._epoch = ""  # one that streams may begin with, and to which of them it was offered
        self._offered: set[str] = set()

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions,
        idempotency_key: str | None = None,
    ) -> tuple[PublishResult, bool]:
        """Publish in one step; return the result, and whether it is new.

        It is not if this idempotency key was used before.
        """
        channel = publication.channel
        keys = self._kept(channel)
        if idempotency_key is not None:
            keys.append(self._keys.result(channel, idempotency_key))
        place = await self._pipeline.run(
            PUBLISH,
            keys,
            self._keys.published(channel),
            envelope.body(publication),
            stream.size,
            milliseconds(stream.ttl),
            milliseconds(stream.ttl + POSITION_TTL),
            new_epoch(),
            milliseconds(IDEMPOTENCY_TTL),
        )
        return published_result(place)

    async def publish_transient(
        self, publication: Publication, mark: str, idempotency_key: str | None
    ) -> tuple[PublishResult, bool]:
        """Publish what is kept nowhere; its message bears ``mark``. See ``publish``."""
        name = self._keys.published(publication.channel)
        message = envelope.transient(publication, mark)
        if idempotency_key is None:
            await self._pipeline.call("PUBLISH", name, message)
            return PublishResult(), True
        key = self._keys.result(publication.channel, idempotency_key)
        known = await self._pipeline.run(
            PUBLISH_ONCE, [key], name, message, milliseconds(IDEMPOTENCY_TTL)
        )
        return published_result(known)

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Publish a notice."""
        await self._pipeline.call(
            "PUBLISH", self._keys.published(notice.channel), envelope.join_leave(notice)
        )

    async def _read_all(
        self, channel: str, limit: int, since: StreamPosition, *, reverse: bool
    ) -> tuple[bool, History]:
        """Return whether ``since`` is good, and what follows it up to the end of the stream."""
        first = page = await self.read(channel, since, limit, reverse=reverse)
        top = first.top
        found: list[Publication] = []
        while True:
            found += parsed(channel, page, top.epoch, reverse=reverse)
            if limit > 0:
                limit -= len(page.bodies)
            whole = page.before < 1 if reverse else page.last >= top.offset
            if not page.bodies or limit == 0 or whole:
                return first.good, History(found, top)
            after = StreamPosition(page.before + 1 if reverse else page.last, top.epoch)
            async with self._large:
                page = await self.read(channel, after, limit, reverse=reverse, most=MORE_BYTES)
            if page.top.epoch != top.epoch:  # another life began meanwhile
                return await self._read_all(channel, limit, since, reverse=reverse)

    async def read(
        self,
        channel: str,
        since: StreamPosition,
        limit: int = -1,
        *,
        reverse: bool = False,
        most: int = _FIRST_BYTES,
        anyway: bool = False,
    ) -> Reading:
        """Read ``most`` bytes, or some publications more, after a position.

        A ``limit`` of -1 is no limit; 0 reads none. If the position is lost, nothing is read, or
        with ``anyway`` the current epoch from its beginning.
        """
        epoch, top, good, before, bodies, past = await self._pipeline.run(
            READ,
            self._kept(channel),
            new_epoch(),
            _POSITION_TTL_MS,
            since.epoch,
            since.offset,
            limit,
            int(reverse),
            most,
            int(anyway),
        )
        return Reading(StreamPosition(top, epoch.decode()), bool(good), before, bodies, _past(past))

    async def look(
        self, channel: str, known: StreamPosition | None, *barrier: bytes, begins: bool = False
    ) -> tuple[StreamPosition, bool]:
        """Return where a stream stands, and whether its inbox is empty; keep its position alive.

        A stream that is nowhere yet begins now with ``begins``; else its epoch is empty. One that
        stands below ``known`` in the same epoch begins a new one. ``barrier`` is a name to publish
        to, and a message: it arrives behind all that was published in the channel before.
        """
        known = known or _NOWHERE
        epoch, offset, kept = await self._pipeline.run(
            LOOK,
            [*self._kept(channel), self._keys.key("inbox", channel)],
            _POSITION_TTL_MS,
            known.epoch,
            known.offset,
            int(begins),
            self._epoch_for(channel),
            *barrier,
        )
        return StreamPosition(int(offset or 0), (epoch or b"").decode()), not kept

    def _epoch_for(self, channel: str) -> str:
        """Return an epoch that this stream was never offered before: each is made for many."""
        if not self._epoch or channel in self._offered or len(self._offered) >= _MAX_OFFERED:
            self._epoch = new_epoch()
            self._offered.clear()
        self._offered.add(channel)
        return self._epoch

    async def place_at(self, channel: str, since: float) -> StreamPosition:
        """Return where a stream stood at a time of the clock here, or a moment before that.

        The server tells its time first. The answer is late by its way here, so the place may be
        one of a moment before, and never one after.
        """
        now = await self._pipeline.run(TIME, self._kept(channel)[:1])
        return await self.place_before(channel, int(now - (clock.monotonic() - since) * 1000))

    async def place_before(self, channel: str, time: int) -> StreamPosition:
        """Return the place of the last publication before a Unix time in milliseconds.

        It is the place before all that is kept if nothing of that is older.
        """
        epoch, offset = await self._pipeline.run(PLACE, self._kept(channel), new_epoch(), time)
        return StreamPosition(offset, epoch.decode())

    async def remove(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._pipeline.call("DEL", self._keys.key("stream", channel))

    def _kept(self, channel: str) -> list[str]:
        return [self._keys.key("position", channel), self._keys.key("stream", channel)]


def parsed(
    channel: str, reading: Reading, epoch: str, *, reverse: bool = False
) -> list[Publication]:
    """Return the publications of a reading, without what somebody else put there."""
    offsets = (
        range(reading.last, reading.before, -1)
        if reverse
        else range(reading.before + 1, reading.last + 1)
    )
    items = [
        envelope.parse_body(channel, body, offset, epoch)
        for offset, body in zip(offsets, reading.bodies, strict=True)
    ]
    return [item for item in items if isinstance(item, Publication)]


def _past(kept: bytes) -> dict[str, int]:
    """Return how far each epoch before goes; none goes farther than one that came after it."""
    past: dict[str, int] = {}
    reach = MAX_WHOLE
    for epoch, _, last in (item.partition(":") for item in kept.decode().split(",")):
        if not last.isdigit():  # nothing, or the rest of one that was cut
            break
        reach = min(reach, int(last))
        past.setdefault(epoch, reach)
    return past


def published_result(place: bytes) -> tuple[PublishResult, bool]:
    """Return the result that a script answered, and whether it is a new one."""
    known = place.startswith(b"=")
    place = place.removeprefix(b"=")
    if not place:  # it is in no stream
        return PublishResult(), not known
    offset, _, epoch = place.decode().partition(":")
    return PublishResult(StreamPosition(int(offset), epoch)), not known


def new_epoch() -> str:
    return random_text(6)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000) or 1
