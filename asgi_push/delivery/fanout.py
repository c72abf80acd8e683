"""Hands publications to sessions: gathers what comes while it runs, writes each session once a run.

A publication is encoded once per protocol and framed once. Sessions whose transport can take it are written to
directly, one write for all that came; the others get it queued. No session is ever waited for.
"""

import math
from collections.abc import Mapping, Sequence

import anyio

from .. import clock
from ..connection import Connection, Owner, State
from ..disconnect import Disconnect
from ..messages import JoinLeave, Publication
from ..metrics.counters import Counters, Histogram
from ..protocols import Codec, WireMessage
from ..registry import Registry
from ..runtime.failures import Failures
from ..runtime.sync import AutoResetEvent
from ..sendqueue import PutResult, SendQueue
from ..settings import Settings
from ..subscription import Subscription, TrackedSubscription
from .batch import Batch, Gap, Item, filter_for
from .recipients import Recipients, recipients_of
from .undeliverable import Undeliverable, before, gaps
from .writers import Writers

# How long a run may hold the event loop before everything else gets its turn, in seconds; looked at every so many
# sessions, which take about 8 us each, and more for large batches.
_HOLD = 0.004
_STRIDE = 8

# The same in sessions, for transports that do no more than queue a write until the turn is over (uvloop's).
_MOST = 400


# Sessions that publishers may write to at once in one tick: with about 10 us each that holds the loop for 2.5 ms.
_AT_ONCE = 256


Parts = Sequence[tuple[Subscription | None, Batch]]


class TimeSlice:
    """A run's turn on the event loop; how long it was goes into ``holds``."""

    __slots__ = ("_began", "_count", "_holds", "_until")

    def __init__(self, holds: Histogram) -> None:
        self._holds = holds
        self._begin()

    def _begin(self) -> None:
        self._count = 0
        self._began = now = clock.monotonic()
        self._until = now + _HOLD

    def over(self, more: int = 1) -> bool:
        """Count one more session, or a stride of them; return whether the turn is over before that."""
        self._count = count = self._count + more
        return count % _STRIDE == 0 and (count >= _MOST or clock.monotonic() > self._until)

    async def next(self) -> None:
        """Let all others have their turn."""
        self.end()
        await anyio.lowlevel.checkpoint()
        self._begin()

    def end(self) -> float:
        """The run is over; return when."""
        now = clock.monotonic()
        self._holds.observe(now - self._began)
        return now


class Fanout:
    """The publications that wait to be handed out, and the one task that does it."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry[Connection, Subscription],
        writers: Writers,
        owner: Owner,
        counters: Counters,
        failures: Failures,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._writers = writers
        self._owner = owner
        self._counters = counters
        self._failures = failures
        self._pending: dict[str | Connection, list[Item]] = {}
        self._waiting = 0
        self._waiting_bytes = 0
        self._work = AutoResetEvent()
        self._room = anyio.Event()
        # Half of what may wait for one session: with the half that relief() leaves free, a session that keeps up can
        # never overflow, however fast the publishers are.
        self._max_waiting = max(1, settings.queue_messages // 2)
        self._max_waiting_bytes = settings.queue_bytes // 2
        self._idle = True  # no run is under way
        self._served: set[Connection] = set()  # written to at once since the last run
        self.number = 0
        self._done = 0.0  # the number up to which all is handed out
        self._handed_out: anyio.Event | None = None
        self.full = False  # publishers must wait for room
        self.undeliverable = Undeliverable(counters)

    async def wait_capacity(self) -> None:
        """Wait until there is room for another publication."""
        while self.full:
            await self._room.wait()

    async def settled(self) -> None:
        """Wait until all that was published so far is handed out."""
        number = self.number
        while self._done < number:
            if self._handed_out is None:
                self._handed_out = anyio.Event()
            await self._handed_out.wait()

    def _settle(self, number: float) -> None:
        self._done = number
        if self._handed_out is not None:
            self._handed_out.set()
            self._handed_out = None

    def stop(self) -> None:
        """Let those who wait for a run go: there will be none."""
        self.full = False
        self._room.set()
        self._settle(math.inf)

    def add(self, target: str | Connection, publication: Publication | JoinLeave) -> None:
        """Have a publication handed to the members of a channel, or to one session, in the next run."""
        self.number += 1
        items = self._pending.get(target)
        if items is None:
            if not self._pending:
                self._work.set()
            items = self._pending[target] = []
        items.append(Item(publication, self.number))
        self._waiting += 1
        self._waiting_bytes += publication.size
        if self._waiting >= self._max_waiting or self._waiting_bytes >= self._max_waiting_bytes:
            self.full = True

    def deliver_at_once(self, session: Connection, subscription: Subscription, publication: Publication) -> bool:
        """Hand a publication to its only receiver now, if nothing that came before it still waits.

        The first one of a tick goes this way, which is half the cost; more for the same session wait, and are joined.
        """
        # With something queued no write is tried: it would be refused, and the frame built for nothing.
        if self._pending or not self._idle or session in self._served or session.queue is not None:
            return False
        if subscription.tracked:
            return False
        try:
            frame = session.codec.frame(publication)
        except Exception:  # noqa: BLE001  # nothing that the session or the publisher could help
            self.undeliverable.note(session.codec.name, publication.channel)
            return True
        try:
            if not session.io.write(frame):
                return False
        except Exception as error:  # noqa: BLE001  # one session must not reach the publisher
            self._failed(session, error)
            return True
        if not self._served:
            self._work.set()
        self._served.add(session)
        self._counters.deliveries += 1
        if len(self._served) >= _AT_ONCE:
            self.full = True
        return True

    async def run(self) -> None:
        """Hand out for ever."""
        while True:
            await self._work.wait()
            self._idle = False
            number = self.number
            try:
                try:
                    await self._hand_out(self._take())
                finally:
                    self._settle(number)
                await self._wait_backpressure()
            finally:
                self._idle = True

    def _take(self) -> Mapping[str | Connection, list[Item]]:
        """Take all that waits, and let the publishers go on."""
        pending, self._pending = self._pending, {}
        self._waiting = self._waiting_bytes = 0
        self._served.clear()
        self._let_in()
        return pending

    def _let_in(self) -> None:
        """Let the publishers go on."""
        if self.full:
            self.full = False
            room, self._room = self._room, anyio.Event()
            room.set()

    async def _wait_backpressure(self) -> None:
        """Wait for the writers and for healthy sessions, and hold the publishers meanwhile.

        They would publish in each of the turns that the writers give to others, and fill the queues of sessions that
        take all that they are sent.
        """
        if self._writers.behind:
            self.full = True
            try:
                await self._writers.caught_up()
            finally:
                self._let_in()
        await self._writers.wait_backpressure()

    async def _hand_out(self, pending: Mapping[str | Connection, list[Item]]) -> None:
        if not pending:  # all were written to at once
            return
        began, time_slice = clock.monotonic(), TimeSlice(self._counters.fanout_hold)
        if len(pending) == 1:
            ((target, items),) = pending.items()
            try:
                await self._hand_out_one(target, Batch(items), time_slice)
            except Exception as error:  # noqa: BLE001  # what comes next must be handed out
                self._lost(error)
        else:
            await self._hand_out_many(pending, time_slice)
        self._counters.fanout.observe(time_slice.end() - began)

    async def _hand_out_many(self, pending: Mapping[str | Connection, list[Item]], time_slice: TimeSlice) -> None:
        found: dict[Connection, list[tuple[Subscription | None, Batch]]] = {}
        for target, items in pending.items():
            try:
                batch, members = Batch(items), self._members(target)
            except Exception as error:  # noqa: BLE001  # the other channels' must be handed out
                self._lost(error)
                continue
            self._counters.deliveries += len(items) * len(members)
            for session, subscription in members.items():
                found.setdefault(session, []).append((subscription, batch))
        for session, parts in found.items():
            if time_slice.over():
                await time_slice.next()
            self.serve(session, parts)

    def _lost(self, error: Exception) -> None:
        """Publications of one channel could not be handed out."""
        self._failures.report("publication", error, "the fan-out")

    async def _hand_out_one(self, target: str | Connection, batch: Batch, time_slice: TimeSlice) -> None:
        """Hand one channel's batch to its members, or what was sent to one session."""
        recipients = recipients_of(self._registry, target) if isinstance(target, str) else None
        if recipients is None or recipients.newest >= batch.items[0].number:
            members = self._members(target)
            self._counters.deliveries += len(batch.items) * len(members)
            await self._serve_each(list(members), list(members.values()), batch, time_slice)
            return
        self._counters.deliveries += len(batch.items) * recipients.size
        if recipients.codec is not None:
            sendable = self._sendable(batch, recipients.codec)
            if sendable.items and (frames := sendable.frames(recipients.codec)):
                await self._write_to_each(recipients, sendable, frames, time_slice)
        await self._serve_each(recipients.others, recipients.other_subscriptions, batch, time_slice)

    def _sendable(self, batch: Batch, codec: Codec) -> Batch:
        try:
            batch.frames(codec)
        except Exception:  # noqa: BLE001  # one publication must not take the others with it
            return Batch(self.undeliverable.part(batch, codec)[0])
        return batch

    async def _write_to_each(self, recipients: Recipients, batch: Batch, frames: bytes, time_slice: TimeSlice) -> None:
        """Write to those who need no more than that: what a server does most, so every look-up counts here.

        Who leaves meanwhile was there when it was published.
        """
        sessions, writes = recipients.sessions, recipients.writes
        for start in range(0, len(writes), _STRIDE):
            if time_slice.over(_STRIDE):
                await time_slice.next()
            for place, write in enumerate(writes[start : start + _STRIDE], start):
                try:
                    if not write(frames):
                        self.deliver(sessions[place], batch)
                except Exception as error:  # noqa: BLE001  # one session must not reach another
                    self._failed(sessions[place], error)

    async def _serve_each(
        self,
        sessions: Sequence[Connection],
        subscriptions: Sequence[Subscription | None],
        batch: Batch,
        time_slice: TimeSlice,
    ) -> None:
        for session, subscription in zip(sessions, subscriptions, strict=True):
            if time_slice.over():
                await time_slice.next()
            self.serve(session, ((subscription, batch),))

    def _members(self, target: str | Connection) -> Mapping[Connection, Subscription | None]:
        return self._registry.members(target) if isinstance(target, str) else {target: None}

    def serve(self, session: Connection, parts: Parts) -> None:
        """Hand one session what it has still to get of several channels' batches; a failure ends that session only."""
        try:
            self._serve(session, parts)
        except Exception as error:  # noqa: BLE001  # one session must not reach another
            self._failed(session, error)

    def _serve(self, session: Connection, parts: Parts) -> None:
        """Hand it all in one piece."""
        whole: Batch | None = None
        for subscription, batch in parts:
            try:
                part = batch if subscription is None else filter_for(subscription, batch)
            except Gap:
                self._gap(session, batch, subscription)
                continue
            if part is not None:
                whole = part if whole is None else whole.merged(part)
        if whole is not None:
            self.deliver(session, whole)

    def _failed(self, session: Connection, error: Exception) -> None:
        self._failures.report("delivery", error, "a delivery", f" to session {session.id}")
        self._owner.close(session, Disconnect.SERVER_ERROR)

    def _gap(self, session: Connection, batch: Batch, subscription: Subscription | None) -> None:
        if session.client is not None and isinstance(subscription, TrackedSubscription):
            self._counters.gaps += 1
            session.client.gap(batch.items[0].publication.channel, subscription)

    def deliver(self, session: Connection, batch: Batch) -> None:
        """Hand a batch to one session now; a failure ends that session and no other."""
        if session.state is not State.OPEN:
            return
        try:
            frames = batch.frames(session.codec)
        except Exception as error:  # noqa: BLE001  # one publication must not take the others with it
            self._deliver_rest(session, batch, error)
            return
        try:
            if not session.io.write(frames):
                self.queue(session, batch.messages(session.codec))
        except Exception as error:  # noqa: BLE001  # one session must not reach another
            self._failed(session, error)

    def _deliver_rest(self, session: Connection, batch: Batch, error: Exception) -> None:
        """Hand one session what its protocol can carry of a batch that it cannot carry whole."""
        good, lost = self.undeliverable.part(batch, session.codec)
        if not lost:
            self._failed(session, error)
            return
        found = gaps(session, lost)
        if rest := before(good, found):
            self.deliver(session, Batch(rest))
        for channel, (_, subscription) in found.items():
            if session.client is not None:
                self._counters.gaps += 1
                session.client.gap(channel, subscription)

    def queue(self, session: Connection, messages: list[WireMessage]) -> None:
        """Have messages sent after what is queued; a session that has no room for them is closed or loses some."""
        queue = self.open_queue(session)
        if not queue.put_all(messages) and not self._put_each(session, queue, messages):
            return
        if queue.half_full:
            self._writers.apply_backpressure(session)

    def _put_each(self, session: Connection, queue: SendQueue[WireMessage], messages: list[WireMessage]) -> bool:
        """Queue what the policy lets in; False if the session was closed as it has no room."""
        dropped = queue.dropped
        for message in messages:
            if queue.put(message) is PutResult.OVERFLOW:
                self._owner.close(session, Disconnect.SLOW)
                return False
        if queue.dropped > dropped:
            self._counters.drops[self._settings.slow_consumer] += queue.dropped - dropped
        return True

    def open_queue(self, session: Connection) -> SendQueue[WireMessage]:
        """Return a session's queue; one that is new is put before the writers."""
        if session.queue is None:
            settings = self._settings
            # A client that keeps positions must not lose a message unknown to it.
            policy = settings.slow_consumer if session.client is None else "disconnect"
            queue: SendQueue[WireMessage] = SendQueue(settings.queue_messages, settings.queue_bytes, policy)
            session.attach_queue(queue)
            self._writers.ready(session)
            return queue
        return session.queue
