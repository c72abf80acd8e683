"""The history of one channel: a bounded stream of publications that a client can go on from."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from .errors import UnrecoverablePosition
from .messages import (
    AwaitedBy,
    ClientInfo,
    History,
    Kind,
    Payload,
    Publication,
    StreamPosition,
)

# How often expired publications are looked for, in seconds, and in how many streams at a time:
# 10,000 streams a second, for a thirtieth of a millisecond each time.
_SWEEP_INTERVAL = 0.01
_SWEEP_SIZE = 100

# What part of all bytes one stream may have: a busy channel never takes the place of all others.
_SHARE = 2

# A NamedTuple's own constructor takes twice as long, and each subscription of an SDK needs one.
_new_tuple = tuple.__new__


@dataclass(slots=True, weakref_slot=True)  # one is made for each subscription: frozen takes longer
class Recovery:
    """What a client that comes back has missed. ``recovered`` is False if that is not known."""

    recovered: bool
    publications: list[Publication]
    position: StreamPosition
    # The publications in one piece, by codec, for all who are told the same.
    encoded: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)


# Of a publication: kind, data, tags, info, time, and who awaits that it is confirmed.
_Kept = tuple[
    Kind, bytes, Mapping[str, str] | None, ClientInfo | None, float | None, AwaitedBy | None
]


class Stream:
    """The last ``size`` publications of a channel.

    All of them are forgotten ``ttl`` seconds after the last one. The epoch and the top offset
    outlive them, so that a client which missed nothing is told so.
    """

    __slots__ = ("_channel", "_kept", "bytes", "epoch", "expires_at", "offset")

    def __init__(self, channel: str, epoch: str) -> None:
        self._channel = channel
        self.epoch = epoch
        self.offset = 0
        self.bytes = 0
        self.expires_at = 0.0
        # Only what the garbage collector need not look at: a server holds millions of these. An
        # empty deque takes 760 bytes, and many a user is never sent anything.
        self._kept: deque[_Kept] | None = None

    def __len__(self) -> int:
        return len(self._kept) if self._kept else 0

    @property
    def position(self) -> StreamPosition:
        """The top of the stream."""
        return _new_tuple(StreamPosition, (self.offset, self.epoch))

    def append(self, publication: Publication, now: float, size: int, ttl: float) -> None:
        """Add a publication and give it its position.

        At most ``size`` publications are kept, for ``ttl`` seconds from now.
        """
        if self.expires_at <= now:
            self.clear()
        self.offset += 1
        publication.offset = self.offset
        publication.epoch = self.epoch
        payload = publication.payload
        kept = self._kept
        if kept is None:
            kept = self._kept = deque()
        kept.append(
            (
                payload.kind, payload.data, publication.tags, publication.info, publication.time,
                publication.awaited_by,
            )
        )  # fmt: skip
        self.bytes += len(payload.data)
        if publication.tags:
            self.bytes += _size(publication.tags)
        while len(kept) > size:
            self._drop_oldest(kept)
        self.expires_at = now + ttl

    def trim(self, max_bytes: int) -> None:
        """Forget the oldest publications until those that are kept have at most so many bytes."""
        while self._kept and self.bytes > max_bytes:
            self._drop_oldest(self._kept)

    def _drop_oldest(self, kept: deque[_Kept]) -> None:
        _, data, tags, *_ = kept.popleft()
        self.bytes -= len(data)
        if tags:
            self.bytes -= _size(tags)

    def expire(self, now: float) -> None:
        """Forget the publications if their time is over."""
        if self.expires_at <= now:
            self.clear()

    def clear(self) -> None:
        """Forget the publications, not the position."""
        self._kept = None
        self.bytes = 0

    def history(
        self, now: float, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Return up to ``limit`` publications after ``since``, or, reversed, before it.

        A ``limit`` of -1 returns all, and 0 only the position.

        Raises:
            UnrecoverablePosition: the epoch of ``since`` is not this stream's.
        """
        self.expire(now)
        if since is not None and since.epoch and since.epoch != self.epoch:
            raise UnrecoverablePosition(f"the stream's epoch is {self.epoch}, not {since.epoch}")
        return History(self._after(since, reverse, limit) if limit else [], self.position)

    def _after(self, since: StreamPosition | None, reverse: bool, limit: int) -> list[Publication]:
        first = self.offset - len(self) + 1
        last = self.offset
        if reverse:
            last = last if since is None else min(last, since.offset - 1)
            return self._range(first if limit < 0 else max(first, last - limit + 1), last)[::-1]
        first = first if since is None else max(first, since.offset + 1)
        return self._range(first, last if limit < 0 else min(last, first + limit - 1))

    def _range(self, start: int, stop: int) -> list[Publication]:
        """Return the kept publications with these offsets, both included."""
        first = self.offset - len(self) + 1
        kept = islice(self._kept or (), max(0, start - first), max(0, stop + 1 - first))
        channel, epoch = self._channel, self.epoch
        return [
            Publication(channel, Payload(kind, data), offset, epoch, tags, info, time, awaited_by)
            for offset, (kind, data, tags, info, time, awaited_by) in enumerate(
                kept, max(start, first)
            )
        ]

    def recover(self, now: float, since: StreamPosition) -> Recovery:
        """Return what came after ``since``, all of it or nothing: a gap is told, never passed over.

        Recovered means: the epoch is empty or the stream's, and either nothing is newer, or the
        first kept publication that is newer is the very next one.
        """
        self.expire(now)
        newer = self._after(since, False, -1)
        continuous = len(newer) == self.offset - since.offset
        if continuous and since.epoch in ("", self.epoch):
            return Recovery(True, newer, self.position)
        return Recovery(False, [], self.position)


def _size(tags: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in tags.items())


class Streams:
    """The streams of all channels, bounded.

    There are at most ``max_streams``, with at most ``max_bytes`` of publications together. Above
    either bound the streams go that were longest neither published to nor read, and with them
    their epochs, so that a client which wants one back is told of the gap. One stream has at most
    half of ``max_bytes``. Above that its own oldest publications go. ``new_epoch`` names the epoch
    of a new stream.
    """

    __slots__ = (
        "_bytes",
        "_max_bytes",
        "_max_streams",
        "_new_epoch",
        "_streams",
        "_swept_at",
        "_to_sweep",
    )

    def __init__(self, new_epoch: Callable[[], str], max_streams: int, max_bytes: int) -> None:
        self._new_epoch = new_epoch
        self._max_streams = max_streams
        self._max_bytes = max_bytes
        # The one that was used last comes last. One that was only asked where it stands is its
        # epoch: many a user is never sent anything, and the garbage collector looks at no text.
        self._streams: OrderedDict[str, Stream | str] = OrderedDict()
        self._bytes = 0
        self._swept_at = 0.0
        self._to_sweep: list[str] = []

    def __len__(self) -> int:
        return len(self._streams)

    def get(self, channel: str) -> Stream:
        """Return a channel's stream; one that nobody asked for yet begins here."""
        known = self._streams.get(channel)
        if isinstance(known, Stream):
            self._streams.move_to_end(channel)
            return known
        begun = self._streams[channel] = Stream(channel, self.position(channel).epoch)
        return begun

    def position(self, channel: str) -> StreamPosition:
        """Return the top of a channel's stream; one that nobody asked for yet begins here."""
        known = self._streams.get(channel)
        if known is None:
            if len(self._streams) >= self._max_streams:
                self._drop_unused()
            known = self._streams[channel] = self._new_epoch()
        else:
            self._streams.move_to_end(channel)
        if isinstance(known, Stream):
            return known.position
        return _new_tuple(StreamPosition, (0, known))

    def append(self, publication: Publication, now: float, size: int, ttl: float) -> Stream:
        """Add a publication to its channel's stream, and return that."""
        stream = self.get(publication.channel)
        before = stream.bytes
        stream.append(publication, now, size, ttl)
        if stream.bytes * _SHARE > self._max_bytes:
            stream.trim(self._max_bytes // _SHARE)
        self._bytes += stream.bytes - before
        if now >= self._swept_at + _SWEEP_INTERVAL:
            self._swept_at = now
            self._sweep(now)
        # Never the one of this publication, which is used last, and fits.
        while self._bytes > self._max_bytes:
            self._drop_unused()
        return stream

    def history(
        self, channel: str, now: float, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a channel's stream; see ``Stream.history``."""
        stream = self.get(channel)
        self._forget(stream, now)
        return stream.history(now, limit, since, reverse)

    def recover(self, channel: str, now: float, since: StreamPosition) -> Recovery:
        """Return what a client missed of a channel; see ``Stream.recover``."""
        stream = self.get(channel)
        self._forget(stream, now)
        return stream.recover(now, since)

    def remove(self, channel: str) -> None:
        """Forget a channel's publications, not its position."""
        stream = self.get(channel)
        self._bytes -= stream.bytes
        stream.clear()

    def _forget(self, stream: Stream, now: float) -> None:
        before = stream.bytes
        stream.expire(now)
        self._bytes += stream.bytes - before

    def _sweep(self, now: float) -> None:
        """Look at the next few streams, in turn, and forget what has expired."""
        if not self._to_sweep:
            self._to_sweep = list(self._streams)
        for channel in self._to_sweep[-_SWEEP_SIZE:]:
            if isinstance(stream := self._streams.get(channel), Stream):
                self._forget(stream, now)
        del self._to_sweep[-_SWEEP_SIZE:]

    def _drop_unused(self) -> None:
        _, stream = self._streams.popitem(last=False)
        if isinstance(stream, Stream):
            self._bytes -= stream.bytes
