"""Where one channel stands in this process, so that nothing is lost or comes twice. Pure."""

from asyncio import Future
from dataclasses import dataclass

from ...messages import StreamPosition


@dataclass(slots=True)
class Row:
    """One row of a reading: where the channel stands, and one item in it, if any came."""

    channel: str
    epoch: str
    last: int
    top: int
    seq: int | None
    offset: int | None
    xid: int | None
    snap: str | None
    body: bytes | None


class Cursor:
    """One channel's place: all up to it is in the queue of deliveries, was lost, or came before."""

    __slots__ = (
        "begun",
        "epoch",
        "in_doubt",
        "missed_since",
        "offset",
        "seq",
        "unwanted_at",
        "waiting",
    )

    def __init__(self) -> None:
        self.begun = False
        self.in_doubt = False  # something may have been published that nobody told this process of
        # When somebody joined the channel in vain, as nothing was heard: what was published from
        # then on is for this process. None if nobody did, or it has begun.
        self.missed_since: float | None = None
        self.epoch = ""  # nobody has published yet
        self.seq = 0
        self.offset = 0
        self.unwanted_at: float | None = None  # since when no session is in it
        self.waiting: list[tuple[int, Future[None]]] = []  # for places to be reached

    @property
    def told(self) -> StreamPosition | None:
        """Where a client may begin: all that was not put in the queue before comes to it.

        None where that is not known, and where it would get what was published long ago.
        """
        known = self.begun and self.epoch and not self.in_doubt
        return StreamPosition(self.offset, self.epoch) if known else None

    def begin(self, epoch: str | None, seq: int | None, top: int | None) -> None:
        """The channel stood here when it was joined; what comes later is delivered."""
        if not self.begun:
            self.begun = True
            self.missed_since = None
            self.move(epoch or "", seq or 0, top or 0)

    def note_missed(self, since: float) -> None:
        """Somebody joined at this time of the clock, and was not told where the channel stands."""
        if not self.begun and (self.missed_since is None or since < self.missed_since):
            self.missed_since = since
            self.in_doubt = True

    def move(self, epoch: str, seq: int, offset: int) -> None:
        """Go on from a place."""
        self.epoch = epoch
        self.seq = seq
        self.offset = offset

    def continues(self, row: Row | None) -> bool:
        """Whether a row is of the life that this is in, and not before what came of it.

        None stands for a channel that is not in the database: then nothing may have come of it.
        """
        if row is None:
            return self.epoch == ""
        return self.epoch in ("", row.epoch) and row.last >= self.seq

    def learn(self, position: StreamPosition) -> None:
        """Note which life the stream is in, if nothing was published in it yet."""
        if self.begun and self.epoch == "" and position.offset == 0:
            self.epoch = position.epoch

    def take(self, row: Row) -> tuple[bool, bool]:
        """Move past a row; return whether its item is new, and whether something before is lost."""
        self.epoch = row.epoch
        if row.seq is None:  # nothing is left of what came
            lost = row.top > self.offset
            self.seq = row.last
            self.offset = row.top
            return False, lost
        if row.seq <= self.seq:
            return False, False
        self.seq = row.seq
        if row.offset is None:
            return True, False
        lost = row.offset > self.offset + 1
        self.offset = row.offset
        return True, lost

    def reached(self) -> list[Future[None]]:
        """Return those who wait for a place that has been reached, and forget them."""
        done = [future for seq, future in self.waiting if seq <= self.seq]
        self.waiting = [waits for waits in self.waiting if waits[0] > self.seq]
        return done

    def let_go(self) -> list[Future[None]]:
        """Return all who wait, and forget them."""
        waiting, self.waiting = self.waiting, []
        return [future for _, future in waiting]


def visible(xid: int, snapshot: str) -> bool:
    """Whether what a transaction did was there in a snapshot, ``xmin:xmax:xip,...`` as text."""
    low, high, under_way = snapshot.split(":")
    if xid < int(low):
        return True
    return xid < int(high) and str(xid) not in under_way.split(",")
