"""Where one channel's publications stand in this process, so that none is lost or comes twice on the way from Redis."""

from ...messages import History, Publication, StreamPosition

# Publications that wait while what is missing before them is fetched; more are fetched, too.
_MAX_HELD = 1000


class Feed:
    """One channel's place: all up to ``position`` was delivered, or published before the channel was joined."""

    __slots__ = ("_held", "position")

    def __init__(self) -> None:
        self.position: StreamPosition | None = None  # not known yet
        self._held: list[Publication] | None = None

    @property
    def catching_up(self) -> bool:
        """Whether what comes waits for something that is missing before it."""
        return self._held is not None

    def begin(self, top: StreamPosition) -> None:
        """The stream stood at ``top`` when the channel was joined, or later; no matter if something has come before."""
        if self.position is None:
            self.position = top

    def behind(self, top: StreamPosition) -> bool:
        """Whether anything up to ``top`` is missing here."""
        position = self.position
        if position is None:
            return False
        return self.catching_up or position.epoch != top.epoch or position.offset < top.offset

    def take(self, publication: Publication) -> bool:
        """Return whether a publication that came is to be delivered now; if not it is known, or waits."""
        if self._held is not None:
            if len(self._held) < _MAX_HELD:
                self._held.append(publication)
            return False
        position, offset, epoch = self.position, publication.offset, publication.epoch
        if position is not None:
            same = position.epoch in ("", epoch)  # a stream that has not begun has no epoch yet
            if same and offset <= position.offset:
                return False
            if not same or offset > position.offset + 1:
                self._held = [publication]
                return False
        self.position = StreamPosition(offset, epoch)
        return True

    def resume(self, position: StreamPosition, kept: History) -> tuple[list[Publication], bool]:
        """Return what is to be delivered now, and whether something before or between is lost.

        ``kept`` is all that Redis keeps after ``position``, the one here or one before it. What comes waits on, until
        ``release``.
        """
        position, (held, self._held) = self.position or position, (self._held or [], None)
        epoch = kept.position.epoch
        same = position.epoch in ("", epoch)
        done = position.offset if same else 0
        found = {
            publication.offset: publication
            for publication in (*kept.publications, *held)
            if publication.epoch == epoch and publication.offset > done
        }
        of_an_earlier_life = [publication for publication in held if publication.epoch != epoch]
        top = max(kept.position.offset, done, *found)
        self.position, self._held = StreamPosition(top, epoch), []
        return of_an_earlier_life + [found[offset] for offset in sorted(found)], not same or len(found) < top - done

    def release(self) -> list[Publication]:
        """Return what came while others were delivered; empty once nothing waits for that any more."""
        held, self._held = self._held or [], None
        ready = [publication for publication in held if self.take(publication)]
        if ready and self._held is None:
            self._held = []
        return ready
