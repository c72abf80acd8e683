"""Where one channel's publications stand in this process, so that none is lost or comes twice on the way from Redis."""

from ...messages import Publication, StreamPosition

# Publications that wait while what is missing before them is fetched; more are fetched, too.
_MAX_HELD = 1000


class Feed:
    """One channel's place: all up to ``position`` was delivered, or was published before this process cared."""

    __slots__ = ("_delivered", "_held", "position")

    def __init__(self) -> None:
        self.position: StreamPosition | None = None  # not known yet
        self._delivered = False
        self._held: list[Publication] | None = None

    @property
    def catching_up(self) -> bool:
        """Whether what comes waits for something that is missing before it."""
        return self._held is not None

    def begin(self, top: StreamPosition) -> None:
        """The stream stood at ``top`` some time after the channel was subscribed to."""
        if self.position is None:
            self.position = top

    def take(self, publication: Publication) -> bool:
        """Return whether a publication that came is to be delivered now; if not it is known, or waits."""
        if self._held is not None:
            if len(self._held) < _MAX_HELD:
                self._held.append(publication)
            return False
        position, offset = self.position, publication.offset
        if position is not None:
            same = position.epoch in ("", publication.epoch)
            # What was under way when the first position was read is older than that, and new to everybody here.
            if same and offset <= position.offset and self._delivered:
                return False
            if not same or offset > position.offset + 1:
                self._held = [publication]
                return False
        self.position, self._delivered = StreamPosition(offset, publication.epoch), True
        return True

    def catch_up(self, missed: list[Publication], top: StreamPosition | None) -> list[Publication]:
        """Return what is to be delivered now: what was missed, and what waited for it.

        ``top`` is None if ``missed`` is all that came after the position; else that is not known, and the stream
        stands there.
        """
        held, self._held = self._held or [], None
        ready = []
        if top is not None:
            ready = [publication for publication in held if publication.epoch != top.epoch]  # of an earlier life
            held = [publication for publication in held if publication.epoch == top.epoch]
            self.position, self._delivered = top, False
        return ready + [publication for publication in (*missed, *held) if self.take(publication)]
