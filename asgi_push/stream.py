"""The history of one channel: a bounded stream of publications that a client can go on from."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from .errors import UnrecoverablePosition
from .messages import History, Payload, Publication, StreamPosition


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a client that comes back has missed; ``recovered`` is False when that cannot be known."""

    recovered: bool
    publications: list[Publication]
    position: StreamPosition


class Stream:
    """The last ``size`` publications of a channel; all of them are forgotten ``ttl`` seconds after the last one.

    The epoch and the top offset outlive the publications, so that a client which missed nothing is told so.
    """

    __slots__ = ("_channel", "_kept", "bytes", "epoch", "expires_at", "offset")

    def __init__(self, channel: str, epoch: str) -> None:
        self._channel = channel
        self.epoch = epoch
        self.offset = 0
        self.bytes = 0
        self.expires_at = 0.0
        self._kept: deque[Publication] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def position(self) -> StreamPosition:
        """The top of the stream."""
        return StreamPosition(self.offset, self.epoch)

    def append(
        self, payload: Payload, tags: Mapping[str, str] | None, now: float, size: int, ttl: float
    ) -> Publication:
        """Add a publication; at most ``size`` are kept, for ``ttl`` seconds from now."""
        self.expire(now)
        self.offset += 1
        publication = Publication(self._channel, payload, self.offset, tags)
        self._kept.append(publication)
        self.bytes += len(payload.data)
        while len(self._kept) > size:
            self.bytes -= len(self._kept.popleft().payload.data)
        self.expires_at = now + ttl
        return publication

    def expire(self, now: float) -> None:
        """Forget the publications if their time is over."""
        if self.expires_at <= now:
            self.clear()

    def clear(self) -> None:
        """Forget the publications, not the position."""
        self._kept.clear()
        self.bytes = 0

    def history(self, now: float, limit: int, since: StreamPosition | None, reverse: bool) -> History:
        """Return up to ``limit`` publications (-1: all, 0: the position only), after or, reversed, before ``since``.

        Raises:
            UnrecoverablePosition: the epoch of ``since`` is not this stream's.
        """
        self.expire(now)
        if since is not None and since.epoch and since.epoch != self.epoch:
            raise UnrecoverablePosition(f"the stream's epoch is {self.epoch}, not {since.epoch}")
        found = self._after(since, reverse)
        return History(found if limit < 0 else found[:limit], self.position)

    def _after(self, since: StreamPosition | None, reverse: bool) -> list[Publication]:
        if not self._kept:
            return []
        first = self._kept[0].offset
        if reverse:
            end = len(self._kept) if since is None else max(0, since.offset - first)
            return list(islice(self._kept, end))[::-1]
        return list(self._kept) if since is None else self._newer(since.offset)

    def _newer(self, offset: int) -> list[Publication]:
        first = self.offset - len(self._kept) + 1
        return list(islice(self._kept, max(0, offset + 1 - first), None))

    def recover(self, now: float, since: StreamPosition) -> Recovery:
        """Return what came after ``since``, all of it or nothing: a gap is told, never passed over.

        Recovered means: the epoch is empty or the stream's, and either nothing is newer, or the first kept publication
        that is newer is the very next one.
        """
        self.expire(now)
        newer = self._newer(since.offset)
        continuous = len(newer) == self.offset - since.offset
        if continuous and since.epoch in ("", self.epoch):
            return Recovery(True, newer, self.position)
        return Recovery(False, [], self.position)
