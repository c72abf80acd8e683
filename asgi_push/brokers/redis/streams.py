"""Publishes to Redis, and reads what it keeps."""

import asyncio
import secrets
from dataclasses import dataclass

from ...errors import UnrecoverablePosition
from ...messages import MAX_WHOLE, History, JoinLeave, Publication, PublishResult, StreamPosition
from ...stream import Recovery
from .. import envelope
from ..contract import IDEMPOTENCY_TTL, StreamOptions
from .keys import Keys
from .pipeline import Pipeline
from .scripts import LOOK, PUBLISH, PUBLISH_ONCE, READ

# How long a position outlives the publications and the last session of the channel, in seconds. A
# client that comes back after a week and missed nothing is told so. It costs about 150 bytes.
_POSITION_TTL = 7 * 24 * 60 * 60.0

# Bytes of the first reading: small, as thousands may go together in one round trip.
_FIRST_BYTES = 32 * 1024

# Bytes of the readings that follow, and how many of them may go on at a time. One takes a few
# milliseconds to parse.
MORE_BYTES = 256 * 1024
_LARGE_READINGS = 8

_ANYWHERE = StreamPosition(-1, "")


@dataclass(frozen=True, slots=True)
class Reading:
    """A part of a stream.

    Attributes:
        top: Where the stream ends.
        good: Whether the position that was asked for is known in this epoch.
        before: The offset before the first of `bodies`.
        bodies: The publications after `before`; in a reversed reading the last one comes first.
        past: The past epochs, the latest first, and up to which offset this epoch contains each.
            Up to there the publications of both have the same offsets. Later ones were lost.
    """

    top: StreamPosition
    good: bool
    before: int
    bodies: list[bytes]
    past: dict[str, int]

    @property
    def last(self) -> int:
        """The largest offset in it, or `before` if it is empty."""
        return self.before + len(self.bodies)


class Streams:
    """The streams of all channels on one Redis server, or cluster."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._large = asyncio.Semaphore(_LARGE_READINGS)

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions,
        idempotency_key: str | None = None,
    ) -> tuple[PublishResult, bool]:
        """Publish in one step; return the result, and False if the key was known."""
        channel = publication.channel
        keys = self._kept(channel)
        if idempotency_key is not None:
            keys.append(self._keys.result(channel, idempotency_key))
        place = await self._pipeline.run(
            PUBLISH, keys, self._keys.published(channel), envelope.body(publication), stream.size,
            _milliseconds(stream.ttl), _milliseconds(stream.ttl + _POSITION_TTL), _new_epoch(),
            _milliseconds(IDEMPOTENCY_TTL),
        )  # fmt: skip
        return _result(place)

    async def publish_transient(
        self, publication: Publication, mark: str, idempotency_key: str | None
    ) -> tuple[PublishResult, bool]:
        """Publish without keeping it, in a message with this mark; see `publish`."""
        name = self._keys.published(publication.channel)
        message = envelope.transient(publication, mark)
        if idempotency_key is None:
            await self._pipeline.call("PUBLISH", name, message)
            return PublishResult(), True
        key = self._keys.result(publication.channel, idempotency_key)
        known = await self._pipeline.run(PUBLISH_ONCE, [key], name, message, _milliseconds(IDEMPOTENCY_TTL))
        return _result(known)

    async def publish_join_leave(self, join_leave: JoinLeave) -> None:
        """Publish a join or a leave."""
        await self._pipeline.call("PUBLISH", self._keys.published(join_leave.channel), envelope.join_leave(join_leave))

    async def history(self, channel: str, limit: int, since: StreamPosition | None, reverse: bool) -> History:
        """Read a stream. One that has no publications yet begins here, to have a position."""
        good, history = await self._read_all(channel, limit, since or _ANYWHERE, reverse=reverse)
        if not good and since is not None:
            raise UnrecoverablePosition(f"the stream's epoch is {history.position.epoch}, not {since.epoch}")
        return history

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return everything that came after `since`, or that this is not known."""
        good, history = await self._read_all(channel, -1, since, reverse=False)
        position = history.position
        if good and len(history.publications) == position.offset - since.offset:
            return Recovery(True, history.publications, position)
        return Recovery(False, [], position)

    async def _read_all(
        self, channel: str, limit: int, since: StreamPosition, *, reverse: bool
    ) -> tuple[bool, History]:
        """Return whether `since` is known, and what follows it up to the end of the stream."""
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
            if page.top.epoch != top.epoch:  # another epoch began meanwhile
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
        """Read about `most` bytes after a position, or before it if reversed.

        A limit of -1 means no limit, 0 reads nothing. If the position is lost nothing is read
        either, or with `anyway` the present epoch from its beginning.
        """
        epoch, top, good, before, bodies, past = await self._pipeline.run(
            READ, self._kept(channel), _new_epoch(), _milliseconds(_POSITION_TTL), since.epoch,
            since.offset, limit, int(reverse), most, int(anyway),
        )  # fmt: skip
        return Reading(StreamPosition(top, epoch.decode()), bool(good), before, bodies, _past(past))

    async def look(self, channel: str, known: StreamPosition | None, *fence: bytes) -> StreamPosition:
        """Return the end of a stream, and keep its position alive.

        The epoch of a stream that has not begun is empty. A stream that ends before `known` in the
        same epoch begins another epoch. `fence` is a name and a message to publish there. It is
        heard after everything that was published in the channel before.
        """
        known = known or StreamPosition(0, "")
        epoch, offset = await self._pipeline.run(
            LOOK, self._kept(channel)[:1], _milliseconds(_POSITION_TTL), _new_epoch(), known.epoch, known.offset, *fence
        )
        return StreamPosition(int(offset or 0), (epoch or b"").decode())

    async def remove(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._pipeline.call("DEL", self._keys.key("stream", channel))

    def _kept(self, channel: str) -> list[str]:
        return [self._keys.key("position", channel), self._keys.key("stream", channel)]


def parsed(channel: str, reading: Reading, epoch: str, *, reverse: bool = False) -> list[Publication]:
    """Return the publications of a reading, without what others may have put there."""
    offsets = range(reading.last, reading.before, -1) if reverse else range(reading.before + 1, reading.last + 1)
    items = [
        envelope.parse_body(channel, body, offset, epoch) for offset, body in zip(offsets, reading.bodies, strict=True)
    ]
    return [item for item in items if isinstance(item, Publication)]


def _past(kept: bytes) -> dict[str, int]:
    """Return the past epochs and how far each goes: never beyond one that came after it."""
    past: dict[str, int] = {}
    reach = MAX_WHOLE
    for epoch, _, last in (item.partition(":") for item in kept.decode().split(",")):
        if not last.isdigit():  # it is empty, or was cut
            break
        reach = min(reach, int(last))
        past.setdefault(epoch, reach)
    return past


def _result(place: bytes) -> tuple[PublishResult, bool]:
    """Return the result in the answer of a script, and whether it is a new one."""
    known, place = place.startswith(b"="), place.removeprefix(b"=")
    if not place:  # it is not in a stream
        return PublishResult(), not known
    offset, _, epoch = place.decode().partition(":")
    return PublishResult(StreamPosition(int(offset), epoch)), not known


def _new_epoch() -> str:
    return secrets.token_urlsafe(6)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
