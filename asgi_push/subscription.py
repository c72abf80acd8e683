"""One session in one channel, with or without a position that its client keeps."""

from typing import Any

from .messages import StreamPosition

# One for all subscriptions: since Python 3.10 each empty frozenset is an object of its own, of 216
# bytes.
_NONE: frozenset[StreamPosition] = frozenset()


class Place:
    """A position in a stream, of several subscriptions that are written together.

    It is ``broken`` when one of these goes on alone: none of them is in step then.
    """

    __slots__ = ("broken", "epoch", "offset")

    def __init__(self, offset: int, epoch: str) -> None:
        self.offset = offset
        self.epoch = epoch
        self.broken = False


class Subscription:
    """One session in one channel: it gets the publications numbered over ``since`` here."""

    __slots__ = ("active", "announced", "since")

    # Whether its client keeps a position, with which every publication has to be compared.
    tracked = False

    # What the application says of the session in the channel, as JSON.
    info: bytes | None = None

    # When it ends by itself, in seconds of the clock.
    expires_at: float | None = None

    def __init__(self, since: int) -> None:
        self.since = since
        self.active = True
        self.announced = False  # whether the others in the channel were told that it joined

    def end(self) -> None:
        """Get nothing any more."""
        self.active = False


class SharedSubscription(Subscription):
    """All the sessions that came between two publications, each in its own channels.

    A session never leaves these before it ends, and then it gets nothing for being closed.
    ``everybody`` is whether everybody's channel is one of them.
    """

    __slots__ = ("everybody",)

    def __init__(self, since: int, *, everybody: bool) -> None:
        super().__init__(since)
        self.everybody = everybody

    def end(self) -> None:
        """Go on: it is for others too."""


class TrackedSubscription(Subscription):
    """A subscription whose client keeps a position.

    Once ``positioned`` it gets every publication after ``offset`` exactly once, in order, or is
    told of the gap. While its first answer is made, publications are held back in ``buffer``.
    """

    __slots__ = (
        "_epoch",
        "_offset",
        "_place",
        "awaited",
        "buffer",
        "confirmed",
        "expires_at",
        "info",
        "join_leave",
        "kept",
        "older",
        "positioned",
        "server_side",
        "skip",
        "start",
        "stays",
    )

    tracked = True

    def __init__(self, since: int) -> None:
        # As in ``Subscription``, without its call: an SDK client makes three of these to connect.
        self.since = since
        self.active = True
        self.announced = False
        self.positioned = False
        self._offset = 0
        self._epoch = ""
        # Where it is while it is in step with others: the two above are out of date then.
        self._place: Place | None = None
        self.start = 0  # the session is sent what comes after this offset, and nothing before
        self.skip = _NONE  # what the session got from the inbox
        self.older = _NONE  # from the inbox, of epochs before
        self.confirmed = 0  # the client said that it has everything up to this offset
        # Publishers wait for the client up to this offset, or may do so: mostly nobody waits.
        self.awaited = 0
        self.kept = 0  # its user's inbox may hold something up to this offset
        self.buffer: list[Any] | None = None
        self.join_leave = False
        self.server_side = True
        self.expires_at: float | None = None
        # Whether an unsubscribe that waits must not end it, as the application made it after that.
        self.stays = False
        self.info: bytes | None = None

    def begin(self, position: StreamPosition, start: int) -> None:
        """Get what comes after a position; what follows ``start`` up to it is sent by others."""
        self.positioned = True
        self.offset = offset = position.offset
        self._epoch = position.epoch
        self.start = start
        if offset:
            self.suppose_awaited(offset)

    def move(self, position: StreamPosition, *, lost: bool) -> None:
        """Go on from a position; ``lost`` is whether the client misses something before it."""
        if lost:
            self.start = position.offset
        if position.epoch != self.epoch:
            self.confirmed = 0  # that was in another epoch
        self.offset = position.offset
        self._epoch = position.epoch
        self.suppose_awaited(position.offset)

    def suppose_awaited(self, offset: int) -> None:
        """Suppose that something up to an offset is to be confirmed, as it was not looked at."""
        if offset > self.awaited:
            self.awaited = offset
        if offset > self.kept:
            self.kept = offset

    @property
    def offset(self) -> int:
        """The offset of the last publication that the session was handed."""
        return self._offset if self._place is None else self._place.offset

    @offset.setter
    def offset(self, offset: int) -> None:
        if self._place is not None:
            self.go_alone()
        self._offset = offset

    @property
    def epoch(self) -> str:
        """The epoch of the stream in which that is."""
        return self._epoch if self._place is None else self._place.epoch

    def go_with(self, place: Place) -> None:
        """Be in step with the others of a place, which is where this one is, too."""
        self.go_alone()  # it left the others of another place, if it had one
        self._place = place

    def go_alone(self) -> None:
        """Be in step with nobody from now on."""
        place = self._place
        if place is not None:
            place.broken = True
            self._offset = place.offset
            self._epoch = place.epoch
            self._place = None

    def is_next(self, offset: int, epoch: str) -> bool:
        """Whether an offset is the very next one."""
        place = self._place
        if place is None:
            return self._offset + 1 == offset and self._epoch == epoch
        return place.offset + 1 == offset and place.epoch == epoch

    def advance(self, first: int, last: int, epoch: str) -> bool:
        """Move over the offsets from ``first`` to ``last``; return False if they do not follow."""
        if self._place is not None:
            self.go_alone()
        if self._offset + 1 != first or self._epoch != epoch:
            return False
        self._offset = last
        return True

    def hold(self) -> None:
        """Hold publications back in ``buffer`` from now on."""
        self.go_alone()
        self.buffer = []

    def end(self) -> None:
        """Get nothing any more, also of what is being handed out."""
        super().end()
        self.go_alone()
