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

# Sessions between two looks at the clock; at about 8 us each that is well below the hold.
_STRIDE = 32


class Item:
    """A publication with its number in the order of this process, encoded once for each protocol."""

    __slots__ = ("_messages", "number", "publication")

    def __init__(self, publication: Publication, number: int) -> None:
        self.publication = publication
        self.number = number
        self._messages: dict[Codec, WireMessage] = {}

    def message(self, codec: Codec) -> WireMessage:
        """Return the message of a protocol that carries it."""
        message = self._messages.get(codec)
        if message is None:
            message = self._messages[codec] = codec.encode(self.publication)
        return message


class Batch:
    """Publications for the same sessions, in the order of their numbers."""

    __slots__ = ("_wire", "items")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self._wire: dict[Codec, tuple[list[WireMessage], bytes]] = {}

    def after(self, number: int) -> "Batch":
        """Return what of it came after ``number``: itself, mostly."""
        if self.items[0].number > number:
            return self
        return Batch([item for item in self.items if item.number > number])

    def wire(self, codec: Codec) -> tuple[list[WireMessage], bytes]:
        """Return the messages of a protocol, and their frames in one piece."""
        known = self._wire.get(codec)
        if known is None:
            messages = codec.join([item.message(codec) for item in self.items])
            known = self._wire[codec] = (messages, b"".join([message.frame for message in messages]))
        return known


class Merger:
    """Joins the batches of a session that is in several channels; made once for all sessions in the same ones."""

    def __init__(self) -> None:
        self._merged: dict[tuple[int, ...], Batch] = {}

    def merge(self, batches: list[Batch]) -> Batch:
        """Return the batches as one, in the order of the publications' numbers."""
        if len(batches) == 1:
            return batches[0]
        key = tuple(map(id, batches))
        merged = self._merged.get(key)
        if merged is None:
            items = sorted((item for batch in batches for item in batch.items), key=lambda item: item.number)
            merged = self._merged[key] = Batch(items)
        return merged


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
        self._pending: dict[str | Session, Batch] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._work = Signal()
        self._room = anyio.Event()
        # Half of what may wait for one session: with the half that relief() leaves free, a session that keeps up can
        # never overflow, however fast the publishers are.
        self._max_waiting = max(1, settings.queue_messages // 2)
        self._max_waiting_bytes = settings.queue_bytes // 2
        self.number = 0

    @property
    def full(self) -> bool:
        """Whether publishers must wait for ``room``."""
        return self._waiting >= self._max_waiting or self._waiting_bytes >= self._max_waiting_bytes

    async def room(self) -> None:
        """Wait until there is room for another publication."""
        while self.full:
            await self._room.wait()

    def add(self, target: str | Session, publication: Publication) -> None:
        """Have a publication handed to the members of a channel, or to one session, in the next run."""
        self.number += 1
        batch = self._pending.get(target)
        if batch is None:
            batch = self._pending[target] = Batch([])
            self._work.set()
        batch.items.append(Item(publication, self.number))
        self._waiting += 1
        self._waiting_bytes += len(publication.payload.data)

    async def run(self) -> None:
        """Hand out for ever."""
        while True:
            await self._work.wait()
            pending, self._pending = self._pending, {}
            self._waiting = self._waiting_bytes = 0
            room, self._room = self._room, anyio.Event()
            room.set()
            await self._hand_out(pending)
            await self._writers.relief()

    async def _hand_out(self, pending: Mapping[str | Session, Batch]) -> None:
        until = time.monotonic() + _HOLD
        for count, (session, batch) in enumerate(self._targets(pending)):
            if count % _STRIDE == 0 and time.monotonic() > until:
                await anyio.lowlevel.checkpoint()
                until = time.monotonic() + _HOLD
            self.deliver(session, batch)

    def _targets(self, pending: Mapping[str | Session, Batch]) -> Iterable[tuple[Session, Batch]]:
        """Return each session once, with all that is for it."""
        if len(pending) == 1:
            ((target, batch),) = pending.items()
            return self._members(target, batch)
        found: dict[Session, list[Batch]] = {}
        for target, batch in pending.items():
            for session, own in self._members(target, batch):
                found.setdefault(session, []).append(own)
        merge = Merger().merge
        return ((session, merge(batches)) for session, batches in found.items())

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
            messages, frames = batch.wire(session.codec)
            if session.queue is not None or not session.carrier.write(frames):
                self._queue(session, messages)
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
