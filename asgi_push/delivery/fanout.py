"""The run that hands publications to sessions: in order, each session in one write.

A publication is encoded once for each protocol, and framed once. What comes during a run waits for
the next one. Sessions whose transport has room are written to directly, the others get the
messages queued. A run never waits for a session.
"""

import math
from collections.abc import Collection, Iterable, Mapping

import anyio

from .. import clock
from ..connection import Connection, Owner
from ..messages import Publication
from ..metrics.counters import Counters
from ..protocols.blocks import COMPRESS_FROM
from ..registry import Registry
from ..runtime.failures import Failures
from ..settings import Settings
from ..subscription import Subscription, TrackedSubscription
from .batch import Batch, Item, is_next
from .compression import Compression
from .pending import Pending, Target
from .queues import Queues
from .recipients import Group, recipients_of
from .session_delivery import SessionDelivery
from .time_slice import STRIDE, TimeSlice
from .undeliverable import Undeliverable
from .writers import Writers

# The most sessions that publishers may write to at once between two runs: with about 10 us each
# they hold the loop for 2.5 ms.
_AT_ONCE = 256


class Fanout:
    """Hands out publications, in one task.

    Attributes:
        pending: the publications that wait for the next run.
        compression: what compresses for several sessions.
        queues: the queues of sessions that cannot be written to at once.
        undeliverable: what protocols could not carry.
        serve: hands one session what it still has to get of some batches.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry[Connection, Subscription],
        writers: Writers,
        owner: Owner,
        counters: Counters,
        failures: Failures,
    ) -> None:
        self.pending = Pending(settings)
        self.compression = Compression(settings)
        self.queues = Queues(settings, writers, owner, counters)
        self.undeliverable = Undeliverable(counters)
        self._registry = registry
        self._writers = writers
        self._counters = counters
        self._failures = failures
        self._sessions = SessionDelivery(self.queues, self.undeliverable, owner, counters, failures)
        self.serve = self._sessions.serve
        self._idle = True  # no run is under way
        self._served: set[Connection] = set()  # written to at once since the last run
        self._done = 0.0  # all publications up to this number are handed out
        self._handed_out: anyio.Event | None = None

    async def settled(self) -> None:
        """Wait until all that was published before this call is handed out."""
        number = self.pending.number
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
        """Let all who wait for a run go on, as there will be none."""
        self.pending.notify_capacity()
        self._settle(math.inf)

    def deliver_at_once(
        self, session: Connection, subscription: Subscription, publication: Publication
    ) -> bool:
        """Write a publication to its only receiver now; return False if it has to wait for a run.

        It has to if anything published before it still waits. The first publication between two
        runs is written at once, which costs half as much; later ones for the same session are
        joined in the next run.
        """
        if self.pending.items or not self._idle or session in self._served:
            return False
        # A session with a queue would refuse the write, so its frame is not even built.
        if session.queue is not None or not is_next(subscription, publication):
            return False
        try:
            frame = session.codec.frame(publication)
            if len(frame) >= COMPRESS_FROM and session.io.deflate is not None:
                frame = session.io.deflate.compress(frame)
        except Exception:  # noqa: BLE001  # neither the session nor the publisher can help it
            if subscription.tracked:  # the run tells its client
                return False
            self.undeliverable.note(session.codec.name, publication.channel)
            return True
        try:
            if not session.io.write(frame):
                return False
        except Exception as error:  # noqa: BLE001  # one session must not reach the publisher
            self._sessions.failed(session, error)
            return True
        if isinstance(subscription, TrackedSubscription):
            subscription.offset = publication.offset
        if not self._served:
            self.pending.work.set()  # the run also forgets what is compressed
        self._served.add(session)
        self._counters.deliveries += 1
        if len(self._served) >= _AT_ONCE:
            self.pending.full = True
        return True

    async def run(self) -> None:
        """Hand out publications for ever."""
        pending = self.pending
        while True:
            await pending.work.wait()
            self._idle = False
            number = pending.number
            try:
                try:
                    self._served.clear()
                    await self._hand_out(pending.take())
                finally:
                    if self.compression.frames:
                        self.compression.frames.clear()
                    if self.compression.pieces:
                        self.compression.pieces.clear()
                    self._settle(number)
                await self._wait_backpressure()
            finally:
                self._idle = True

    async def _wait_backpressure(self) -> None:
        """Hold the publishers until the writers, and the sessions that keep up, have caught up.

        Else they would publish whenever the writers let other tasks run, and fill the queues of
        sessions that take everything they are sent.
        """
        if self._writers.behind:
            self.pending.full = True
            try:
                await self._writers.caught_up()
            finally:
                self.pending.notify_capacity()
        await self._writers.wait_backpressure()

    async def _hand_out(self, pending: Mapping[Target, list[Item]]) -> None:
        if not pending:  # everything was written at once
            return
        began = clock.monotonic()
        time_slice = TimeSlice(self._counters.fanout_hold)
        if len(pending) == 1:
            ((target, items),) = pending.items()
            try:
                await self._hand_out_one(target, Batch(items), time_slice)
            except Exception as error:  # noqa: BLE001  # the next run must take place
                self._lost(error)
        else:
            await self._hand_out_many(pending, time_slice)
        self._counters.fanout.observe(time_slice.end() - began)

    async def _hand_out_many(
        self, pending: Mapping[Target, list[Item]], time_slice: TimeSlice
    ) -> None:
        """Hand several targets' batches out, all that one session gets in one write."""
        found: dict[Connection, list[tuple[Subscription | None, Batch]]] = {}
        for target, items in pending.items():
            try:
                batch = Batch(items)
                members = self._members(target)
            except Exception as error:  # noqa: BLE001  # the other channels must not suffer
                self._lost(error)
                continue
            self._counters.deliveries += len(items) * len(members)
            for session, subscription in members:
                found.setdefault(session, []).append((subscription, batch))
        for session, parts in found.items():
            if time_slice.over():
                await time_slice.next()
            self.serve(session, parts)

    def _lost(self, error: Exception) -> None:
        """Report that one target's publications could not be handed out."""
        self._failures.report("publication", error, "the fan-out")

    async def _hand_out_one(self, target: Target, batch: Batch, time_slice: TimeSlice) -> None:
        """Hand one target's batch out."""
        recipients = recipients_of(self._registry, target) if isinstance(target, str) else None
        if recipients is None or recipients.newest >= batch.items[0].number:
            members = self._members(target)
            self._counters.deliveries += len(batch.items) * len(members)
            await self._serve_each(list(members), batch, time_slice)
            return
        self._counters.deliveries += len(batch.items) * recipients.size
        for group in recipients.groups.values():
            await self._hand_out_to(group, batch, time_slice)
        others = zip(recipients.others, recipients.other_subscriptions, strict=True)
        await self._serve_each(others, batch, time_slice)

    async def _hand_out_to(self, group: Group, batch: Batch, time_slice: TimeSlice) -> None:
        """Hand a batch to the sessions of a group."""
        codec = group.codec
        deflate = group.deflate
        sendable = self.undeliverable.sendable(batch, codec, deflate)
        if group.tracked and (sendable is not batch or not batch.offset_range.first):
            members = zip(group.sessions, group.subscriptions, strict=True)
            await self._serve_each(members, batch, time_slice)
        elif sendable.items and (frames := sendable.frames(codec, deflate)):
            await self._write_to_each(group, sendable, frames, time_slice)

    async def _write_to_each(
        self, group: Group, batch: Batch, frames: bytes, time_slice: TimeSlice
    ) -> None:
        """Write to the sessions that need no more than a write.

        This is what a server does most, so every attribute that is read counts. A session that
        leaves meanwhile is written to as well, unless it keeps a position: it was there when the
        batch was published.
        """
        sessions = group.sessions
        transports = group.transports
        advance = batch.offset_range.advance if group.tracked else None
        for start in range(0, len(transports), STRIDE):
            if time_slice.over(STRIDE):
                await time_slice.next()
            if advance is not None and not advance(group.places[start // STRIDE]):
                self._serve_stride(group, start, batch)
                continue
            for place, transport in enumerate(transports[start : start + STRIDE], start):
                try:
                    if not transport.write(frames):
                        self._sessions.deliver(sessions[place], batch)
                except Exception as error:  # noqa: BLE001  # one session must not reach another
                    self._sessions.failed(sessions[place], error)

    def _serve_stride(self, group: Group, start: int, batch: Batch) -> None:
        """Serve the sessions of a stride that is not in step one by one."""
        part = slice(start, start + STRIDE)
        for session, subscription in zip(
            group.sessions[part], group.subscriptions[part], strict=True
        ):
            self.serve(session, ((subscription, batch),))

    async def _serve_each(
        self,
        members: Iterable[tuple[Connection, Subscription | None]],
        batch: Batch,
        time_slice: TimeSlice,
    ) -> None:
        for session, subscription in members:
            if time_slice.over():
                await time_slice.next()
            self.serve(session, ((subscription, batch),))

    def _members(self, target: Target) -> Collection[tuple[Connection, Subscription | None]]:
        return self._registry.pairs(target) if isinstance(target, str) else ((target, None),)
