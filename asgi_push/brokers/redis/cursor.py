"""Where this process is in one channel's stream, so that no publication is lost or comes twice.

Nothing here waits. Whoever moves a cursor also queues what became ready, in the same step. So the
order of the queue is the order of the stream, whoever fills it.
"""

from asyncio import Future

from ...messages import Publication, StreamPosition

# How many publications are held while something before them is read, and how many bytes. Beyond
# that they are dropped, and read later.
_MAX_HELD = 10_000
_MAX_HELD_BYTES = 16 * 1024 * 1024

# How many past epochs are remembered. A publication of an older one cannot be placed, and is told
# as lost.
_MAX_ENDED = 16


class Cursor:
    """The position in one channel.

    Everything up to `position` is queued or delivered, was lost, or came before the channel was
    joined. What comes after a hole is held until the hole is filled.
    """

    __slots__ = ("_bytes", "_ended", "_held", "_orphans", "dropped", "position", "waiting")

    def __init__(self) -> None:
        self.position: StreamPosition | None = None  # None: not known yet
        self.dropped = False  # whether more came than is held
        self.waiting: list[tuple[StreamPosition, Future[None]]] = []  # who waits for a position
        self._held: list[Publication] | None = None
        self._bytes = 0
        self._ended: dict[str, int] = {}  # past epochs, and the last offset of each that is done
        self._orphans: list[tuple[int, Publication]] = []  # each with the offset it comes after

    @property
    def catching_up(self) -> bool:
        """Whether publications are held because something before them is missing."""
        return self._held is not None

    @property
    def held(self) -> int:
        """How many publications are held."""
        return len(self._held or ())

    def begin(self, top: StreamPosition) -> None:
        """Start at `top`, where the stream was when the channel was joined, or later.

        Does nothing if a publication has come before.
        """
        if self.position is None:
            self.position = top

    def behind(self, top: StreamPosition) -> bool:
        """Return whether anything up to `top` is missing here."""
        position = self.position
        if position is None:
            return False
        return position.epoch not in ("", top.epoch) or position.offset < top.offset

    def reached(self, place: StreamPosition) -> bool:
        """Return whether a position of the present epoch has been reached."""
        position = self.position
        if position is None or position.epoch != place.epoch:
            return False
        return position.offset >= place.offset

    def take(self, publication: Publication) -> bool:
        """Take a publication that came; return whether it is the next one.

        If not, it is known already, or it is held because something before it is missing.
        """
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
        self.position = StreamPosition(offset, epoch)
        return True

    def hold(self) -> None:
        """Hold what comes from now on: something before it is missing."""
        if self._held is None:
            self._held = []
            self._bytes = 0
            self.dropped = False

    def _hold(self, publication: Publication) -> None:
        held = self._held
        full = self._bytes > _MAX_HELD_BYTES
        if held is None or self.dropped or full or len(held) >= _MAX_HELD:
            self.dropped = True  # and all that follows, so that what is held has no new hole
            return
        held.append(publication)
        self._bytes += publication.size

    def change_epoch(self, at: StreamPosition, past: dict[str, int], asked: int) -> tuple[StreamPosition, bool]:
        """Go to `at`, in the epoch that Redis has now.

        Held publications of a past epoch belong to the present one if it contains them: there they
        have the same offset, so that they stay held. The others were lost in Redis. They become
        orphans, which `take_orphans` returns, as far as they were not delivered before.

        Args:
            at: The same place as before, in the present epoch, or the first that can be read.
            past: The past epochs, and up to which offset the present one contains each.
            asked: How many publications were held when Redis was asked. They are of no later epoch.

        Returns:
            The position now, and whether something held was dropped because nobody knows whether
            it has been delivered.
        """
        left = self.position
        lost = False
        if at.epoch in self._ended:
            # Redis went back to this epoch. What it had after `at` may have been delivered.
            at = StreamPosition(max(at.offset, self._ended[at.epoch]), at.epoch)
            lost = True
        if past or (left is not None and left.epoch not in ("", at.epoch)):
            self._remember(left, past, at.epoch)
        held = self._held or []
        current = next((place for place, item in enumerate(held) if item.epoch == at.epoch), 0)
        still_held = []
        for place, item in enumerate(held):
            if item.offset <= past.get(item.epoch, 0):
                item.epoch = at.epoch
            if item.epoch == at.epoch:
                still_held.append(item)
            elif item.epoch not in past and place >= max(asked, current):
                still_held.append(item)  # it may be of a later epoch
            elif item.epoch not in self._ended:
                lost = True
            elif item.offset > self._ended[item.epoch]:
                self._ended[item.epoch] = item.offset
                self._orphans.append((past.get(item.epoch, at.offset), item))
        if self._held is not None:
            self._held = still_held
        self.move(at)
        return at, lost

    def _remember(self, left: StreamPosition | None, past: dict[str, int], epoch: str) -> None:
        """Note up to which offset nothing of a past epoch is delivered any more."""
        ended = {name: past[name] for name in reversed(past)}
        if left is not None and left.epoch:
            ended[left.epoch] = max(left.offset, ended.get(left.epoch, 0))
        for name, offset in ended.items():  # the latest come last
            self._ended[name] = max(self._ended.pop(name, 0), offset)
        self._ended.pop(epoch, None)
        while len(self._ended) > _MAX_ENDED:
            del self._ended[next(iter(self._ended))]

    def take_orphans(self, offset: int | None = None) -> list[Publication]:
        """Return the publications lost in Redis that come before `offset + 1`; all if None."""
        if not self._orphans:
            return []
        taken = [item for after, item in self._orphans if offset is None or after <= offset]
        self._orphans = [] if offset is None else [one for one in self._orphans if one[0] > offset]
        return taken

    def end_of_hole(self, epoch: str) -> int | None:
        """Return the offset before the first held publication that is new; None if there is none.

        Only publications of this epoch count.
        """
        at = self.position or StreamPosition(0, "")
        known = at.offset if at.epoch == epoch else 0
        offsets = (item.offset for item in self._held or () if item.epoch == epoch)
        first = next((offset for offset in offsets if offset > known), None)
        return None if first is None else first - 1

    def move(self, position: StreamPosition) -> None:
        """Go to `position`: everything up to it is queued, or lost."""
        before = self.position
        self.position = position
        if before is not None and before.epoch not in ("", position.epoch):
            for place, came in self.waiting:  # a position of a past epoch is never reached
                if place.epoch != position.epoch and not came.done():
                    came.set_result(None)

    def release(self) -> list[Publication]:
        """Return the held publications that are next; behind another hole, the rest stays held."""
        held = self._held or []
        self._held = None
        return [publication for publication in held if self.take(publication)]
