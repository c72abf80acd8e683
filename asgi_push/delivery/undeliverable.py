"""What a protocol cannot carry: nobody is closed for it, and whoever keeps a position in the channel is told of a gap.

The door lets in nothing of the kind; this is for what came another way, such as from another version over Redis.
"""

import logging
from collections.abc import Iterable

from .. import clock
from ..connection import Connection
from ..logs import RateLimit, printable
from ..messages import JoinLeave, Publication
from ..metrics.counters import Counters
from ..protocols import Codec
from ..subscription import TrackedSubscription
from .batch import Batch, Item

# Seconds between two log lines that say the same.
_QUIET = 10.0

# Of so many it is known that they are counted: many sessions find the same one.
_KNOWN = 1000

# By channel: the first that cannot be carried, and the subscription that cannot go on.
Gaps = dict[str, tuple[int, TrackedSubscription]]


class Undeliverable:
    """Counts what protocols could not carry, and says it in the log."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._quiet = RateLimit(_QUIET)
        self._known: set[tuple[int, str]] = set()

    def note(self, codec_name: str, channel: str) -> None:
        """Count one, and log the exception that is being handled."""
        self._counters.failures["publication"] += 1
        message = "the protocol %s cannot carry what is in channel %s: it is left out there"
        self._quiet.log(logging.ERROR, clock.monotonic(), message, codec_name, printable(channel), exc_info=True)

    def note_item(self, codec: Codec, item: Item) -> None:
        """The same for one that many sessions would get, once."""
        key = item.number, codec.name
        if key not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known.add(key)
            self.note(codec.name, item.publication.channel)

    def carried(self, codec: Codec, publications: Iterable[Publication]) -> list[Publication]:
        """Return those that a protocol can carry."""
        found = []
        for publication in publications:
            try:
                codec.encode(publication)
            except Exception:  # noqa: BLE001  # whatever it is, only this one is left out
                self.note(codec.name, publication.channel)
            else:
                found.append(publication)
        return found

    def sendable(self, batch: Batch, codec: Codec) -> Batch:
        """Return what of a batch a protocol can carry: mostly the batch itself."""
        try:
            batch.frames(codec)
        except Exception:  # noqa: BLE001  # one publication must not take the others with it
            return Batch(self.part(batch, codec)[0])
        return batch

    def part(self, batch: Batch, codec: Codec) -> tuple[list[Item], list[Item]]:
        """Return what of a batch a protocol can carry, and what not."""
        good, lost = list[Item](), list[Item]()
        for item in batch.items:
            try:
                if (message := item.message(codec)) is not None:
                    message.frame  # noqa: B018  # made here, or it would fail later
            except Exception:  # noqa: BLE001  # whatever it is, only this one is left out
                self.note_item(codec, item)
                lost.append(item)
            else:
                good.append(item)
        return good, lost


def loose(publication: Publication) -> Publication:
    """Return a publication without its place in the stream."""
    return Publication(publication.channel, publication.payload, tags=publication.tags, info=publication.info)


def gaps(session: Connection, lost: list[Item]) -> Gaps:
    """Return the subscriptions of a session that cannot go on without what is lost."""
    found: Gaps = {}
    for item in lost:
        publication: Publication | JoinLeave = item.publication
        subscription = session.subscriptions.get(publication.channel)
        if publication.offset and isinstance(subscription, TrackedSubscription) and subscription.positioned:
            found.setdefault(publication.channel, (item.number, subscription))
    return found


def before(items: list[Item], found: Gaps) -> list[Item]:
    """Return what comes before the gaps: what comes after is had again when the subscription goes on."""
    return [item for item in items if item.number < found.get(item.publication.channel, (item.number + 1,))[0]]
