"""Where one channel's publications stand in this process, so that none is lost or comes twice on the way from Redis.

Nothing here waits. Whoever moves a cursor puts what it says is ready into the queue of deliveries in the same step, so
that the order of the queue is the order of the stream, whoever puts.
"""

from asyncio import Future
from collections.abc import Mapping

from ...messages import Publication, StreamPosition

# What waits while something that is missing before it is read; beyond that it is dropped, and read, too.
_MAX_HELD, _MAX_HELD_BYTES = 10_000, 16 * 1024 * 1024


class Cursor:
    """One channel's place: all up to ``position`` is in the queue or delivered, was lost, or came before the channel
    was joined.
    """

    __slots__ = ("_bytes", "_held", "dropped", "position", "waiting")

    def __init__(self) -> None:
        self.position: StreamPosition | None = None  # not known yet
        self.dropped = False  # more came than is held
        self.waiting: list[tuple[StreamPosition, Future[None]]] = []  # for a place to be reached
        self._held: list[Publication] | None = None
        self._bytes = 0

    @property
    def catching_up(self) -> bool:
        """Whether what comes waits for something that is missing before it."""
        return self._held is not None

    @property
    def held(self) -> int:
        """How many publications wait."""
        return len(self._held or ())

    def begin(self, top: StreamPosition) -> None:
        """The stream stood at ``top`` when the channel was joined, or later; no matter if something has come before."""
        if self.position is None:
            self.position = top

    def behind(self, top: StreamPosition) -> bool:
        """Whether anything up to ``top`` is missing here."""
        position = self.position
        if position is None:
            return False
        return position.epoch not in ("", top.epoch) or position.offset < top.offset

    def reached(self, place: StreamPosition) -> bool:
        """Whether a place in the life that this is in has been passed."""
        position = self.position
        return position is not None and position.epoch == place.epoch and position.offset >= place.offset

    def take(self, publication: Publication) -> bool:
        """Return whether a publication that came is next; if not it is known, or waits for what is before it."""
        if self._held is not None:
            self._hold(publication)
            return False
        position, offset, epoch = self.position, publication.offset, publication.epoch
        if position is not None:
            same = position.epoch in ("", epoch)  # a stream that has not begun has no epoch yet
            if same and offset <= position.offset:
                return False
            if not same or offset > position.offset + 1:
                self.hold()
                self._hold(publication)
                return False
        self.position = StreamPosition(offset, epoch)
        return True

    def hold(self) -> None:
        """From now on what comes waits: something before it is missing."""
        if self._held is None:
            self._held, self._bytes, self.dropped = [], 0, False

    def _hold(self, publication: Publication) -> None:
        held = self._held
        if held is None or self.dropped or len(held) >= _MAX_HELD or self._bytes > _MAX_HELD_BYTES:
            self.dropped = True  # with it all that follows, so that what is held has no hole at its end
            return
        held.append(publication)
        self._bytes += publication.size

    def turn(self, epoch: str, count: int, past: Mapping[str, int]) -> list[Publication]:
        """Take out of what waits the end of earlier lives, if any, and return what of it has not been taken.

        ``count`` publications waited when Redis was asked which life it is, and told ``epoch``: those that are of
        another came from one before. ``past`` is how far this life has what was published in those: that waits on.
        """
        held = self._held or []
        first = next((place for place, item in enumerate(held) if item.epoch == epoch), count)
        position = self.position or StreamPosition(0, "")
        kept, ended = list[Publication](), list[Publication]()
        for item in held[:first]:
            if item.offset <= past.get(item.epoch, 0):
                item.epoch = epoch
                kept.append(item)
            elif item.epoch != position.epoch or item.offset > position.offset:
                ended.append(item)
        self._held = kept + held[first:]
        return ended

    def end_of_hole(self, epoch: str) -> int | None:
        """Return the offset before the first publication of this life that waits, None if none does."""
        first = next((item for item in self._held or () if item.epoch == epoch), None)
        return None if first is None else first.offset - 1

    def move(self, position: StreamPosition) -> None:
        """All up to ``position`` has been read and is in the queue, or is lost."""
        before, self.position = self.position, position
        if before is not None and before.epoch not in ("", position.epoch):
            for place, came in self.waiting:  # which that life has not reached, and never will
                if place.epoch != position.epoch and not came.done():
                    came.set_result(None)

    def release(self) -> list[Publication]:
        """Return what waits no more; behind another hole the rest waits on."""
        held, self._held = self._held or [], None
        return [publication for publication in held if self.take(publication)]
