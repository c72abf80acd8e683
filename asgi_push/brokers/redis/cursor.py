"""The place of a channel in this process, so that nothing from Redis is lost or comes twice.

Nothing here waits. Whoever moves a cursor puts what it says is ready into the queue of deliveries
in the same step. So the order of the queue is the order of the stream, whoever puts.
"""

from asyncio import Future
from collections.abc import Mapping, Sequence

from ...messages import Publication, StreamPosition

# What may wait while something that is missing before it is read. What comes beyond that is
# dropped, and read, too.
_MAX_HELD = 10_000
_MAX_HELD_BYTES = 16 * 1024 * 1024

# Epochs before that are remembered. What is of an older one cannot be placed, and is told as lost.
_MAX_ENDED = 16

# Nearly all streams have one epoch: an empty dict for each takes 80 bytes.
_NONE_ENDED: Mapping[str, int] = {}


class Cursor:
    """One channel's place, ``position``.

    All up to it is in the queue or delivered, was lost, or came before the channel was joined.
    """

    __slots__ = (
        "_bytes",
        "_ended",
        "_held",
        "_orphans",
        "dropped",
        "gone",
        "in_doubt",
        "inbox_empty_at",
        "joining",
        "missed_since",
        "position",
        "waiting",
    )

    def __init__(self) -> None:
        self.position: StreamPosition | None = None  # not known yet
        # When somebody joined the channel in vain, as nothing was heard: what was published from
        # then on is for this process. None if nobody did, or the position is known.
        self.missed_since: float | None = None
        self.joining = 0  # how many are about to find out where it stands
        self.gone = False  # the channel was forgotten; another cursor may read the same again
        self.dropped = False  # more came than is held
        self.in_doubt = False  # something may have been published that was not heard
        # Where the stream stood when the inbox was seen to be empty; all since then was heard.
        self.inbox_empty_at: StreamPosition | None = None
        self.waiting: Sequence[tuple[StreamPosition, Future[None]]] = ()  # for a place
        self._held: list[Publication] | None = None
        self._bytes = 0
        # Epochs before, and up to where nothing of each is delivered any more.
        self._ended = _NONE_ENDED
        # Each with the offset behind which it is to be delivered.
        self._orphans: Sequence[tuple[int, Publication]] = ()

    @property
    def catching_up(self) -> bool:
        """Whether what comes waits for something that is missing before it."""
        return self._held is not None

    @property
    def told(self) -> StreamPosition | None:
        """Where a client may begin: all that was not put in the queue before comes to it.

        None where that is not known, and where a client would get what was published long ago, as
        it was not heard.
        """
        if self.in_doubt or self.catching_up or self.position is None or not self.position.epoch:
            return None
        return self.position

    @property
    def held(self) -> int:
        """How many publications wait."""
        return len(self._held or ())

    def begin(self, top: StreamPosition) -> None:
        """Begin at ``top``, where the stream stood when the channel was joined, or later.

        Something may have come before.
        """
        if self.position is None:
            self.position = top
            self.missed_since = None

    def note_missed(self, since: float) -> None:
        """Somebody joined at this time of the clock, and was not told where the channel stands."""
        if self.position is None and (self.missed_since is None or since < self.missed_since):
            self.missed_since = since
            self.in_doubt = True

    def behind(self, top: StreamPosition) -> bool:
        """Whether anything up to ``top`` is missing here."""
        position = self.position
        if position is None:
            return False
        return position.epoch not in ("", top.epoch) or position.offset < top.offset

    def reached(self, place: StreamPosition) -> bool:
        """Whether a place in the life that this is in has been passed."""
        position = self.position
        return (
            position is not None
            and position.epoch == place.epoch
            and position.offset >= place.offset
        )

    def inbox_is_empty(self, up_to: StreamPosition | None) -> bool:
        """Whether nothing has come since the channel's inbox was seen to be empty.

        Where ``up_to`` is given it may be known from elsewhere, before it comes here: nothing
        beyond this place is known.
        """
        position = self.position
        empty_at = self.inbox_empty_at
        if position is None or empty_at is None:
            return False
        same = empty_at.epoch in ("", position.epoch)  # as in take
        if not same or empty_at.offset != position.offset:
            return False
        return up_to is None or (up_to.epoch == position.epoch and up_to.offset <= position.offset)

    def take(self, publication: Publication) -> bool:
        """Return whether a publication is the next. If not, it is known, or waits for others."""
        if self._held is not None:
            self._hold(publication)
            return False
        position = self.position
        offset = publication.offset
        epoch = publication.epoch
        if position is not None:
            same = position.epoch in ("", epoch)  # a stream that has not begun has no epoch yet
            if same and offset <= position.offset:
                return False
            if not same and offset <= min(position.offset, self._ended.get(epoch, 0)):
                return False
            if not same or offset > position.offset + 1:
                self.hold()
                self._hold(publication)
                return False
        elif self.missed_since is not None:
            self.hold()
            self._hold(publication)
            return False
        self.position = StreamPosition(offset, epoch)
        return True

    def hold(self) -> None:
        """From now on what comes waits: something before it is missing."""
        if self._held is None:
            self._held = []
            self._bytes = 0
            self.dropped = False

    def _hold(self, publication: Publication) -> None:
        held = self._held
        if held is None or self.dropped or len(held) >= _MAX_HELD or self._bytes > _MAX_HELD_BYTES:
            # With it all that follows, so that what is held has no hole at its end.
            self.dropped = True
            return
        held.append(publication)
        self._bytes += publication.size

    def change_epoch(
        self, at: StreamPosition, past: dict[str, int], asked: int
    ) -> tuple[StreamPosition, bool]:
        """Go to ``at``, the same place in the epoch that Redis told, or one to read on from.

        ``past`` has the epochs before, and up to which offset each is a part of this one. When
        Redis was asked, ``asked`` publications waited; they are of no later epoch. A publication
        of an epoch before that is a part of this one is that of the same offset here. One that is
        not was lost in Redis: it waits for ``take_orphans``.

        Returns:
            Where it stands now, and whether something that waited is gone: nobody knows whether
            that was delivered.
        """
        left = self.position
        lost = False
        # Redis went back to it; what it had after this place may have been delivered.
        if at.epoch in self._ended:
            at = StreamPosition(max(at.offset, self._ended[at.epoch]), at.epoch)
            lost = True
        if past or (left is not None and left.epoch not in ("", at.epoch)):
            self._remember(left, past, at.epoch)
        held = self._held or []
        current = next((place for place, item in enumerate(held) if item.epoch == at.epoch), 0)
        still_held = []
        ended = {**self._ended}
        orphans = [*self._orphans]
        for place, item in enumerate(held):
            if item.offset <= past.get(item.epoch, 0):
                item.epoch = at.epoch
            if item.epoch == at.epoch:
                still_held.append(item)
            elif item.epoch not in past and place >= max(asked, current):
                still_held.append(item)  # it may be of a later epoch
            elif item.epoch not in ended:
                lost = True
            elif item.offset > ended[item.epoch]:
                ended[item.epoch] = item.offset
                orphans.append((past.get(item.epoch, at.offset), item))
        self._ended = ended
        self._orphans = orphans
        if self._held is not None:
            self._held = still_held
        self.move(at)
        return at, lost

    def _remember(self, left: StreamPosition | None, past: dict[str, int], epoch: str) -> None:
        """Note up to which offset nothing of an epoch before is to be delivered any more."""
        ends = {name: past[name] for name in reversed(past)}
        if left is not None and left.epoch:
            ends[left.epoch] = max(left.offset, ends.get(left.epoch, 0))
        ended = {**self._ended}
        for name, offset in ends.items():  # the latest come last
            ended[name] = max(ended.pop(name, 0), offset)
        ended.pop(epoch, None)
        while len(ended) > _MAX_ENDED:
            del ended[next(iter(ended))]
        self._ended = ended

    def take_orphans(self, offset: int | None = None) -> list[Publication]:
        """Return what is in no epoch any more and comes before what follows ``offset``.

        Without an offset all of it is returned.
        """
        if not self._orphans:
            return []
        taken = [item for after, item in self._orphans if offset is None or after <= offset]
        self._orphans = (
            [] if offset is None else [orphan for orphan in self._orphans if orphan[0] > offset]
        )
        return taken

    def end_of_hole(self, epoch: str) -> int | None:
        """Return the offset before the first new publication of this epoch that waits, or None."""
        at = self.position or StreamPosition(0, "")
        known = at.offset if at.epoch == epoch else 0
        first = next(
            (item for item in self._held or () if item.epoch == epoch and item.offset > known), None
        )
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
