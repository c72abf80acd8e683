"""Hands publications to sessions: gathers what comes while it runs, writes each session once a run.

A publication is encoded once per protocol and framed once. Sessions whose transport can take it are written to
directly, one write for all that came; the others get it queued. No session is ever waited for.
"""

import time
from collections.abc import Callable, Iterable, Mapping

import anyio

from ..disconnect import Disconnect
from ..logs import logger
from ..messages import Publication
from ..protocols import Codec, WireMessage
from ..registry import Registry
from ..sendqueue import Put, SendQueue
from ..session import Session, State, Subscription
from ..settings import Settings
from .tasks import Signal
from .writers import Writers

# How long a run may hold the event loop before everything else gets its turn, in seconds.
_HOLD = 0.004

# Sessions between two looks at the clock; at about 8 us each, and more for large batches, well below the hold.
_STRIDE = 8


# Sessions that publishers may write to at once in one tick: with about 10 us each that holds the loop for 2.5 ms.
_AT_ONCE = 256


class Item:
    """A publication with its number in the order of this process, encoded once for each protocol."""

    __slots__ = ("_codec", "_message", "_others", "number", "publication")

    def __init__(self, publication: Publication, number: int) -> None:
        self.publication = publication
        self.number = number
        self._codec: Codec | None = None
        self._message: WireMessage | None = None
        self._others: dict[Codec, WireMessage] | None = None

    def message(self, codec: Codec) -> WireMessage:
        """Return the message of a protocol that carries it."""
        if self._codec is codec and self._message is not None:
            return self._message
        if self._codec is None:  # the first protocol, mostly the only one, needs no dictionary
            self._codec, self._message = codec, (message := codec.encode(self.publication))
            return message
        if self._others is None:
            self._others = {}
        if codec not in self._others:
            self._others[codec] = codec.encode(self.publication)
        return self._others[codec]


class Batch:
    """Publications for the same sessions, in the order of their numbers."""

    __slots__ = ("_frames", "_frames_codec", "_merged", "items")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self._frames_codec: Codec | None = None
        self._frames = b""
        self._merged: dict[int, Batch] | None = None

    def after(self, number: int) -> "Batch":
        """Return what of it came after ``number``: itself, mostly."""
        if self.items[0].number > number:
            return self
        return Batch([item for item in self.items if item.number > number])

    def merged(self, other: "Batch") -> "Batch":
        """Return both as one, in the order of the numbers; made once for all sessions that want the same two."""
        if self._merged is None:
            self._merged = {}
        both = self._merged.get(id(other))
        if both is None:
            both = self._merged[id(other)] = Batch(sorted(self.items + other.items, key=_number))
        return both

    def messages(self, codec: Codec) -> list[WireMessage]:
        """Return the messages of a protocol that carry it."""
        items = self.items
        if len(items) == 1:
            return [items[0].message(codec)]
        return codec.join([item.message(codec) for item in items])

    def frames(self, codec: Codec) -> bytes:
        """Return the frames of these messages in one piece; the last protocol's are kept."""
        if self._frames_codec is not codec:
            self._frames = b"".join([message.frame for message in self.messages(codec)])
            self._frames_codec = codec
        return self._frames


def _number(item: Item) -> int:
    return item.number


Close = Callable[[Session, Disconnect], None]


class Fanout:
    """The publications that wait to be handed out, and the one task that does it."""

    def __init__(
        self, settings: Settings, registry: Registry[Session, Subscription], writers: Writers, close: Close
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._writers = writers
        self._close = close
        self._pending: dict[str | Session, list[Item]] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._work = Signal()
        self._room = anyio.Event()
        # Half of what may wait for one session: with the half that relief() leaves free, a session that keeps up can
        # never overflow, however fast the publishers are.
        self._max_waiting = max(1, settings.queue_messages // 2)
        self._max_waiting_bytes = settings.queue_bytes // 2
        self._idle = True  # no run is under way
        self._served: set[Session] = set()  # written to at once since the last run
        self.number = 0
        self.full = False  # publishers must wait for room

    async def room(self) -> None:
        """Wait until there is room for another publication."""
        while self.full:
            await self._room.wait()

    def stop(self) -> None:
        """Let publishers that wait for room go: no run will make any."""
        self.full = False
        self._room.set()

    def add(self, target: str | Session, publication: Publication) -> None:
        """Have a publication handed to the members of a channel, or to one session, in the next run."""
        self.number += 1
        items = self._pending.get(target)
        if items is None:
            if not self._pending:
                self._work.set()
            items = self._pending[target] = []
        items.append(Item(publication, self.number))
        self._waiting += 1
        self._waiting_bytes += len(publication.payload.data)
        if self._waiting >= self._max_waiting or self._waiting_bytes >= self._max_waiting_bytes:
            self.full = True

    def deliver_at_once(self, session: Session, publication: Publication) -> bool:
        """Hand a publication to its only receiver now, if nothing that came before it still waits.

        The first one of a tick goes this way, which is half the cost; more for the same session wait, and are joined.
        """
        if self._pending or not self._idle or session in self._served or session.queue is not None:
            return False
        try:
            if not session.carrier.write(session.codec.encode(publication).frame):
                return False
        except Exception:  # noqa: BLE001  # one session must not reach the publisher
            logger.exception("delivery to session %s failed", session.id)
            self._close(session, Disconnect.SERVER_ERROR)
            return True
        if not self._served:
            self._work.set()
        self._served.add(session)
        if len(self._served) >= _AT_ONCE:
            self.full = True
        return True

    async def run(self) -> None:
        """Hand out for ever."""
        while True:
            await self._work.wait()
            self._idle = False
            try:
                await self._hand_out(self._take())
                await self._writers.relief()
            finally:
                self._idle = True

    def _take(self) -> Mapping[str | Session, list[Item]]:
        """Take all that waits, and let the publishers go on."""
        pending, self._pending = self._pending, {}
        self._waiting = self._waiting_bytes = 0
        self._served.clear()
        if self.full:
            self.full = False
            room, self._room = self._room, anyio.Event()
            room.set()
        return pending

    async def _hand_out(self, pending: Mapping[str | Session, list[Item]]) -> None:
        until = time.monotonic() + _HOLD
        for count, (session, batch) in enumerate(self._targets(pending)):
            if count % _STRIDE == 0 and time.monotonic() > until:
                await anyio.lowlevel.checkpoint()
                until = time.monotonic() + _HOLD
            self.deliver(session, batch)

    def _targets(self, pending: Mapping[str | Session, list[Item]]) -> Iterable[tuple[Session, Batch]]:
        """Return each session once, with all that is for it."""
        if len(pending) == 1:
            ((target, items),) = pending.items()
            return self._members(target, Batch(items))
        found: dict[Session, Batch] = {}
        for target, items in pending.items():
            for session, batch in self._members(target, Batch(items)):
                known = found.get(session)
                found[session] = batch if known is None else known.merged(batch)
        return found.items()

    def _members(self, target: str | Session, batch: Batch) -> list[tuple[Session, Batch]]:
        # A list: while a run yields, sessions come and go. Who came after a publication does not get it.
        if isinstance(target, Session):
            return [(target, batch)]
        first, last = batch.items[0].number, batch.items[-1].number
        return [
            (session, batch if subscription.since < first else batch.after(subscription.since))
            for session, subscription in self._registry.members(target).items()
            if subscription.since < last
        ]

    def deliver(self, session: Session, batch: Batch) -> None:
        """Hand a batch to one session now; a failure ends that session and no other."""
        try:
            if session.state is not State.OPEN:
                return
            if session.queue is not None or not session.carrier.write(batch.frames(session.codec)):
                self._queue(session, batch.messages(session.codec))
        except Exception:  # noqa: BLE001  # one session must not reach another
            logger.exception("delivery to session %s failed", session.id)
            self._close(session, Disconnect.SERVER_ERROR)

    def _queue(self, session: Session, messages: list[WireMessage]) -> None:
        queue = self.open_queue(session)
        for message in messages:
            if queue.put(message) is Put.OVERFLOW:
                self._close(session, Disconnect.SLOW)
                return
        if queue.half_full:
            self._writers.press(session)

    def open_queue(self, session: Session) -> SendQueue[WireMessage]:
        """Return a session's queue; one that is new is put before the writers."""
        if session.queue is None:
            settings = self._settings
            session.queue = SendQueue(settings.queue_messages, settings.queue_bytes, settings.slow_consumer)
            self._writers.ready(session)
        return session.queue
