"""One session in one channel, with or without a position that its client keeps."""

from typing import Any

from .messages import StreamPosition


class Subscription:
    """One session in one channel: it gets the publications numbered over ``since`` here."""

    __slots__ = ("active", "announced", "since")

    # Whether its client keeps a position, with which every publication has to be compared.
    tracked = False

    # What the application says of the session in the channel, as JSON.
    info: bytes | None = None

    def __init__(self, since: int) -> None:
        self.since = since
        self.active = True
        self.announced = False  # whether the others in the channel were told that it joined


class TrackedSubscription(Subscription):
    """A subscription whose client keeps a position.

    Once ``positioned`` it gets every publication after ``offset`` exactly once, in order, or is
    told of the gap. While its first answer is made, publications are held back in ``buffer``.
    """

    __slots__ = (
        "buffer",
        "confirmed",
        "epoch",
        "expires_at",
        "info",
        "join_leave",
        "offset",
        "positioned",
        "server_side",
        "start",
        "stays",
    )

    tracked = True

    def __init__(self, since: int) -> None:
        super().__init__(since)
        self.positioned = False
        self.offset = 0
        self.start = 0  # the session is sent what comes after this offset, and nothing before
        self.confirmed = 0  # the client said that it has everything up to this offset
        self.epoch = ""
        self.buffer: list[Any] | None = None
        self.join_leave = False
        self.server_side = True
        self.expires_at: float | None = None  # when it ends by itself, in seconds of the clock
        # Whether an unsubscribe that waits must not end it, as the application made it after that.
        self.stays = False
        self.info: bytes | None = None

    def move(self, position: StreamPosition, *, lost: bool) -> None:
        """Go on from a position; ``lost`` is whether the client misses something before it."""
        if lost:
            self.start = position.offset
        if position.epoch != self.epoch:
            self.confirmed = 0  # that was in another epoch
        self.offset, self.epoch = position
