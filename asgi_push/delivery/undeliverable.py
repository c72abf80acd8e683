"""Publications that a protocol cannot carry.

They close no session, and clients that keep a position in the channel are told of a gap. Nothing
of the kind can be published here, but another version may have published it over Redis.
"""

import logging
from collections.abc import Iterable

from .. import clock
from ..connection import Connection
from ..logs import RateLimit, printable
from ..messages import JoinLeave, Publication
from ..metrics.counters import Counters
from ..protocols import Codec, Deflate
from ..subscription import TrackedSubscription
from .batch import Batch, Item

# The time between two log lines that say the same, in seconds.
_QUIET = 10.0

# This many are remembered as counted, as many sessions find the same one.
_KNOWN = 1000

# For each channel: the first one, and the subscription that cannot go on.
Gaps = dict[str, tuple[Item, TrackedSubscription]]


class Undeliverable:
    """Counts and logs publications that a protocol could not carry."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._quiet = RateLimit(_QUIET)
        self._known: set[tuple[int, str]] = set()

    def note(self, codec_name: str, channel: str) -> None:
        """Count a publication, and log the exception that is being handled."""
        self._counters.failures["publication"] += 1
        message = "the protocol %s cannot carry what is in channel %s: it is left out there"
        args = codec_name, printable(channel)
        self._quiet.log(logging.ERROR, clock.monotonic(), message, *args, exc_info=True)

    def note_item(self, codec: Codec, item: Item) -> None:
        """Do the same, but once, for a publication that many sessions would get."""
        key = item.number, codec.name
        if key not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known.add(key)
            self.note(codec.name, item.publication.channel)

    def carried(self, codec: Codec, publications: Iterable[Publication]) -> list[Publication]:
        """Return the publications that a protocol can carry."""
        found = []
        for publication in publications:
            try:
                codec.encode(publication)
            except Exception:  # noqa: BLE001  # whatever it is, only this one is left out
                self.note(codec.name, publication.channel)
            else:
                found.append(publication)
        return found

    def sendable(self, batch: Batch, codec: Codec, deflate: Deflate | None) -> Batch:
        """Return the part of a batch that a protocol can carry: mostly the batch itself."""
        try:
            batch.frames(codec, deflate)
        except Exception:  # noqa: BLE001  # one publication must not take the others with it
            return Batch(self.part(batch, codec)[0])
        return batch

    def part(self, batch: Batch, codec: Codec) -> tuple[list[Item], list[Item]]:
        """Return the items of a batch that a protocol can carry, and those that it cannot."""
        good: list[Item] = []
        lost: list[Item] = []
        for item in batch.items:
            try:
                if (message := item.message(codec)) is not None:
                    message.frame  # noqa: B018  # else it would fail later
            except Exception:  # noqa: BLE001  # whatever it is, only this one is left out
                self.note_item(codec, item)
                lost.append(item)
            else:
                good.append(item)
        return good, lost


def without_position(publication: Publication) -> Publication:
    """Return a publication without its position in the stream."""
    channel = publication.channel
    payload = publication.payload
    tags = publication.tags
    info = publication.info
    time = publication.time
    return Publication(channel, payload, tags=tags, info=info, time=time)


def gaps(session: Connection, lost: list[Item]) -> Gaps:
    """Return the subscriptions of a session that cannot go on without the lost items."""
    found: Gaps = {}
    for item in lost:
        publication: Publication | JoinLeave = item.publication
        subscription = session.subscriptions.get(publication.channel)
        if (
            publication.offset
            and isinstance(subscription, TrackedSubscription)
            and subscription.positioned
        ):
            found.setdefault(publication.channel, (item, subscription))
    return found


def before(items: list[Item], found: Gaps) -> list[Item]:
    """Return the items before the gaps; the client gets the others again when it recovers."""
    return [item for item in items if not _is_after_gap(item, found)]


def _is_after_gap(item: Item, found: Gaps) -> bool:
    gap = found.get(item.publication.channel)
    return gap is not None and item.number >= gap[0].number
