"""Publications on their way to sessions, encoded and joined once for all who get the same ones."""

from ..messages import JoinLeave, Publication
from ..protocols import Codec, Deflate, WireMessage
from ..protocols.blocks import COMPRESS_FROM
from ..subscription import Place, Subscription, TrackedSubscription


class Item:
    """A publication, encoded once for each protocol.

    Its number is its place in the order of this process.
    """

    __slots__ = ("_codec", "_message", "_others", "number", "publication")

    def __init__(self, publication: Publication | JoinLeave, number: int) -> None:
        self.publication = publication
        self.number = number
        self._codec: Codec | None = None
        self._message: WireMessage | None = None
        self._others: dict[Codec, WireMessage | None] | None = None

    def message(self, codec: Codec) -> WireMessage | None:
        """Return the protocol's message for it; None if the protocol has none."""
        if self._codec is codec:
            return self._message
        if self._codec is None:  # the first protocol, mostly the only one, needs no dictionary
            self._message = codec.encode(self.publication)
            self._codec = codec  # only now: a publication that cannot be encoded fails each time
            return self._message
        if self._others is None:
            self._others = {}
        if codec not in self._others:
            self._others[codec] = codec.encode(self.publication)
        return self._others[codec]


class Batch:
    """Publications for the same sessions, in the order of their numbers."""

    __slots__ = (
        "_frames",
        "_frames_codec",
        "_frames_deflate",
        "_merged",
        "_messages",
        "_messages_codec",
        "_offset_range",
        "items",
    )

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self._frames_codec: Codec | None = None
        self._frames_deflate: Deflate | None = None
        self._frames = b""
        self._messages_codec: Codec | None = None
        self._messages: list[WireMessage] = []
        self._merged: dict[Batch, Batch] | None = None
        self._offset_range: OffsetRange | None = None

    def after(self, number: int) -> "Batch":
        """Return the part that came after ``number``: mostly the batch itself."""
        if self.items[0].number > number:
            return self
        return Batch([item for item in self.items if item.number > number])

    @property
    def all_publications(self) -> bool:
        """Whether no join or leave is in it."""
        return all(isinstance(item.publication, Publication) for item in self.items)

    @property
    def offset_range(self) -> "OffsetRange":
        """The offsets that it covers in the stream of its channel."""
        if self._offset_range is None:
            self._offset_range = OffsetRange([item.publication for item in self.items])
        return self._offset_range

    def merged(self, other: "Batch") -> "Batch":
        """Return both batches as one, which is made once for all sessions that get the same two."""
        if self._merged is None:
            self._merged = {}
        # The key is the batch, not its id: the id of a batch that is gone may be another one's.
        both = self._merged.get(other)
        if both is None:
            both = self._merged[other] = Batch(sorted(self.items + other.items, key=_number))
        return both

    def messages(self, codec: Codec) -> list[WireMessage]:
        """Return the protocol's messages for it; those of the last protocol are kept."""
        if self._messages_codec is not codec:
            messages = [
                message for item in self.items if (message := item.message(codec)) is not None
            ]
            self._messages = messages if len(messages) < 2 else codec.join(messages)
            self._messages_codec = codec
        return self._messages

    def frames(self, codec: Codec, deflate: Deflate | None) -> bytes:
        """Return the frames of its messages in one piece; those of the last protocol are kept.

        With ``deflate`` those of long messages are compressed.
        """
        if self._frames_codec is not codec or self._frames_deflate is not deflate:
            frames = [message.frame for message in self.messages(codec)]
            if deflate is not None:
                frames = [
                    frame if len(frame) < COMPRESS_FROM else deflate.compress(frame)
                    for frame in frames
                ]
            self._frames = b"".join(frames)
            self._frames_codec = codec
            self._frames_deflate = deflate
        return self._frames


def _number(item: Item) -> int:
    return item.number


class OffsetRange:
    """The offsets of a batch that has nothing but consecutive offsets of one epoch.

    For any other batch ``first`` is 0, which follows no offset.
    """

    __slots__ = ("epoch", "first", "last")

    def __init__(self, publications: list[Publication | JoinLeave]) -> None:
        self.epoch = publications[0].epoch
        self.first = publications[0].offset
        self.last = self.first + len(publications) - 1
        for offset, publication in enumerate(publications, self.first):
            if publication.offset != offset or publication.epoch != self.epoch:
                self.first = 0

    def advance(self, place: Place) -> bool:
        """Move a place over these offsets.

        Returns False, and leaves the place, if they do not follow it, or it is broken.
        """
        if place.offset + 1 != self.first or place.epoch != self.epoch or place.broken:
            return False
        place.offset = self.last
        return True


class Gap(Exception):
    """A subscription cannot go on, as publications after its position are missing."""


# The most publications that are buffered while a subscription is being answered; more is a gap.
_MAX_BUFFERED = 1000


def is_next(subscription: Subscription, publication: Publication) -> bool:
    """Whether a publication is the next for a subscription, and nothing is held back for it."""
    if not isinstance(subscription, TrackedSubscription):
        return True
    if subscription.buffer is not None or not subscription.positioned:
        return False
    return subscription.is_next(publication.offset, publication.epoch)


def filter_for(subscription: Subscription, batch: Batch) -> Batch | None:
    """Return the part of a batch that a subscription still has to get; None if there is none.

    The position of the subscription moves to the end of that part.

    Raises:
        Gap: something between its position and the batch is missing.
    """
    if not subscription.active or subscription.since >= batch.items[-1].number:
        return None
    batch = batch.after(subscription.since)
    if not isinstance(subscription, TrackedSubscription):
        return _without_notices(batch)
    if subscription.buffer is not None:
        if len(subscription.buffer) + len(batch.items) > _MAX_BUFFERED:
            raise Gap
        subscription.buffer.extend(batch.items)
        return None
    if not subscription.positioned:
        if subscription.skip:
            return _not_sent(subscription, batch)
        return batch if subscription.join_leave else _without_notices(batch)
    offsets = batch.offset_range
    if subscription.advance(offsets.first, offsets.last, offsets.epoch):
        return batch
    return _one_by_one(subscription, batch)


def hold_back(subscription: Subscription | None, batch: Batch) -> None:
    """Keep what is in no stream for a subscription that goes on after a gap, if it does.

    All else is read again, with what is missing.
    """
    if not isinstance(subscription, TrackedSubscription) or not subscription.active:
        return
    if subscription.buffer is not None:
        items = batch.after(subscription.since).items
        subscription.buffer.extend(item for item in items if not item.publication.offset)


def _not_sent(subscription: TrackedSubscription, batch: Batch) -> Batch | None:
    """Return the publications that the session did not get from its user's inbox."""
    items = [
        item
        for item in batch.items
        if isinstance(item.publication, Publication)
        and (item.publication.offset, item.publication.epoch) not in subscription.skip
    ]
    return Batch(items) if items else None


def _without_notices(batch: Batch) -> Batch | None:
    if batch.all_publications:
        return batch
    items = [item for item in batch.items if not isinstance(item.publication, JoinLeave)]
    return Batch(items) if items else None


def _one_by_one(subscription: TrackedSubscription, batch: Batch) -> Batch | None:
    items = []
    reached = subscription.offset
    for item in batch.items:
        publication = item.publication
        if isinstance(publication, JoinLeave):
            if subscription.join_leave:
                items.append(item)
        elif not publication.offset:  # it is in no stream, so nothing can be missing before it
            items.append(item)
        elif publication.epoch != subscription.epoch or publication.offset > reached + 1:
            raise Gap
        elif publication.offset == reached + 1:
            reached = publication.offset
            items.append(item)
    subscription.offset = reached  # only now: after a gap the client has none of them
    return Batch(items) if items else None
