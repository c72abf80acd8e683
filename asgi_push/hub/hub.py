"""The hub: makes the objects that serve the sessions of one process, starts and stops them."""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from .. import clock
from ..brokers import Broker, PresenceStore
from ..brokers.inbox import Filing, InboxStore
from ..brokers.process_messages import ProcessMessages
from ..channels import Namespaces
from ..connection import Connection
from ..delivery.history_encoder import HistoryEncoder
from ..delivery.writers import Writers
from ..disconnect import Disconnect
from ..encoding import Encoder
from ..inbound.heartbeats import Heartbeats
from ..inbound.hooks import HookCalls, Hooks
from ..inbound.probing import Prober
from ..inbox.inbox import Inbox
from ..inbox.replay import InboxReplay
from ..inbox.undelivered import UndeliveredCalls
from ..membership.membership import Membership
from ..metrics.counters import Counters
from ..questions.requester import Requester
from ..questions.responder import Responder
from ..receipts.ack_tokens import AckTokens
from ..receipts.acknowledgements import Acknowledgements
from ..receipts.confirmations import Confirmations
from ..receipts.reporter import ReceiptReporter
from ..registry import Registry
from ..runtime.failures import Failures
from ..runtime.tasks import TaskRoot, supervise
from ..runtime.threads import HookThreads
from ..runtime.time_slice import TurnSlice
from ..runtime.workers import warn_about_multiple_workers
from ..settings import Settings
from ..subscription import Subscription
from .admission import Admission, Refused
from .processes import Processes
from .publisher import Publisher
from .samples import Samples
from .session_lifecycle import Lifecycle
from .stats import Stats
from .traced import fanout_of, filing, trace_sessions

if TYPE_CHECKING:
    from ..tracing.spans import Spans

# How long a shutdown waits for close frames to be sent, and for hooks to end, in seconds.
_SHUTDOWN_TIME = 3.0


class Hub:
    """What endpoints and transports call; modules beside it, and in ``inbound``, do the work."""

    def __init__(
        self,
        settings: Settings,
        hooks: Hooks,
        broker: Broker,
        presence: PresenceStore,
        inboxes: InboxStore,
        namespaces: Namespaces,
        counters: Counters,
        encoder: Encoder,
        spans: "Spans | None" = None,
    ) -> None:
        self.settings = settings
        self.hooks = hooks
        self.broker = broker
        self.presence = presence
        self.namespaces = namespaces
        self.counters = counters
        self.encode = encoder.encode
        self.encode_info = encoder.encode_info
        # Of this process, among others. Commands take it: none may begin with a dash.
        self.id = secrets.token_hex(8)
        self.started_at = clock.monotonic()
        self.accepting = False
        self.probed_ports: set[object] = set()  # see ``transports.keepalive``
        self.failures = Failures(counters)
        self.threads = HookThreads()
        self.history_encoder = HistoryEncoder()
        self.requests = TurnSlice()  # of what is asked over HTTP
        self.tasks = TaskRoot(self.failures)
        self.spawn = self.tasks.spawn
        self.registry: Registry[Connection, Subscription] = Registry()
        self._make_delivery(encoder, spans)
        self._make_receipts()
        self._make_sessions(spans)
        self._make_inbox(inboxes, filing(inboxes.publish, spans))
        self._bind_verbs()

    def _make_delivery(self, encoder: Encoder, spans: "Spans | None") -> None:
        """Make what hands out publications. Each object knows the hub, and those made before."""
        settings = self.settings
        registry = self.registry
        failures = self.failures
        broker = self.broker
        counters = self.counters
        self._writers = Writers(self, settings.send_timeout)
        self.fanout = fanout_of(spans, settings, registry, self._writers, self, counters, failures)
        self.stats = Stats(counters, registry, self._writers, broker, self.id)
        self.publisher = Publisher(
            broker, self.namespaces, registry, self.fanout, counters, encoder, spans
        )
        self.samples = Samples(self.stats)

    def _make_receipts(self) -> None:
        """Make what takes the confirmations and answers of clients."""
        broker = self.broker
        messages = self.process_messages = ProcessMessages(self.failures)
        self.processes = Processes(broker, messages)
        self.receipt_reporter = ReceiptReporter(self, self.registry, self.fanout, broker, messages)
        self.acknowledgements = Acknowledgements(self.counters, self.receipt_reporter)
        self.ack_tokens = AckTokens(self.registry, self.acknowledgements, broker, messages)
        self.responder = Responder(self, self.fanout, broker, self.counters)
        self.requester = Requester(self, self.responder, broker, messages, self.counters)
        self.confirmations = Confirmations(self, broker, messages, self.counters)

    def _make_sessions(self, spans: "Spans | None") -> None:
        """Make what sessions live by."""
        settings = self.settings
        registry = self.registry
        broker = self.broker
        self._calls = HookCalls(self, self.threads.others, settings, self.failures)
        self.intake = self._calls.intake
        self._heartbeats = Heartbeats(self, self._writers, self.intake, self.failures)
        self._timer = self._heartbeats.timer
        reporter = self.receipt_reporter
        self.membership = Membership(
            self, settings, registry, broker, self.presence, self.namespaces, self.fanout, reporter
        )
        self.prober = Prober(registry, broker, self)
        self._admission = Admission(settings, registry, self.presence, self.prober)
        self._lifecycle = Lifecycle(
            self,
            settings,
            self.hooks,
            registry,
            self._admission,
            self.membership,
            self.fanout,
            self._writers,
            self._calls,
            self._timer,
            self.counters,
        )
        self._closing = self._lifecycle.closing
        trace_sessions(spans, self._lifecycle, self.membership)

    def _make_inbox(self, store: InboxStore, file: Filing) -> None:
        """Make what keeps publications until users confirm them."""
        pending, counters = self.fanout.pending, self.counters
        self.inbox = Inbox(store, file, self.settings, self.namespaces, pending, counters)
        self.acknowledgements.listeners.append(self.inbox.on_acknowledged)
        self.inbox_replay = InboxReplay(
            self, self.inbox, self.registry, self.membership, self.fanout
        )
        hook, threads = self.hooks.on_undelivered, self.threads.others
        self._undelivered: UndeliveredCalls | None = None
        if hook is not None:
            self._undelivered = UndeliveredCalls(
                self, store, hook, threads, counters, self.failures
            )

    def _bind_verbs(self) -> None:
        """Give the hub the verbs of its rooms, without a call in between."""
        self.publish = self.publisher.publish
        self.send = self.publisher.send
        self.send_wire = self.publisher.send_wire
        self.send_urgent = self.publisher.send_urgent
        self.wait_capacity = self._writers.wait_capacity
        self.execute = self._calls.execute
        self.execute_here = self._calls.execute_here
        self.subscribe_session = self.membership.subscribe_session
        self.unsubscribe_session = self.membership.unsubscribe_session
        self.schedule = self._timer.schedule
        self.open = self._lifecycle.open
        self.note_reachable = self._lifecycle.note_reachable
        self.close = self._lifecycle.close
        self.abort = self._lifecycle.abort
        self.end = self._lifecycle.end
        self.count_as_direct = self._lifecycle.count_as_direct
        self.look_after = self._heartbeats.look_after
        self.expire = self._heartbeats.expire
        self.on_activity = self._heartbeats.on_activity
        self.heartbeat = self._heartbeats.heartbeat

    # -- start and stop ----------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it was started and its event loop still runs."""
        return self.tasks.running

    @property
    def ending(self) -> bool:
        """Whether all background tasks are about to end: it was stopped, or its event loop ends."""
        return self.tasks.ending

    async def start(self) -> None:
        """Start the background tasks on the event loop that runs now."""
        await self.tasks.start()
        self._supervise("the fan-out", self.fanout.run)
        self._supervise("the timer", self._timer.run)
        self._supervise("presence", self.presence.run)
        self._supervise("the inbox", self.inbox.run)
        if self._undelivered is not None:
            self._supervise("on_undelivered", self._undelivered.run)
        if self.settings.metrics:
            self._supervise("the sharing of metrics", self.stats.share)
        if self.settings.console:
            self._supervise("the samples for consoles", self.samples.run)
        if self.settings.broker.startswith("memory:"):
            self.spawn(warn_about_multiple_workers)
        self.accepting = True

    def _supervise(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        self.spawn(supervise, name, task, partial(self.failures.count, "task"))

    async def stop(self) -> None:
        """Close all sessions and stop, in a bounded time whatever the peers and the hooks do."""
        self.accepting = False
        if self._undelivered is not None:
            self._undelivered.stop()
        with anyio.move_on_after(_SHUTDOWN_TIME):
            await self.fanout.settled()
        self.fanout.stop()
        self.confirmations.stop()
        self.requester.stop()
        for session in self.registry.sessions():
            self.close(session, Disconnect.SHUTDOWN)
        await self.see_off()
        await self._wait_until_idle()
        await self.tasks.stop()
        self.threads.close()
        if self.settings.metrics:
            self.stats.close()

    async def see_off(self) -> None:
        """Wait for the sessions that are closing; drop those that do not take their close frame."""
        await self._wait_until_idle()
        for session in list(self._closing):
            session.io.stop(abort=True)

    async def _wait_until_idle(self) -> None:
        """Wait until no session is closing, no hook runs and all notices are out; not for ever."""
        until = clock.monotonic() + _SHUTDOWN_TIME
        while self._busy and clock.monotonic() < until:  # noqa: ASYNC110  # several things at once
            await anyio.sleep(0.01)

    @property
    def _busy(self) -> bool:
        hooks = self._calls.running + (self._undelivered.running if self._undelivered else 0)
        return bool(self._closing or hooks or self.membership.notices.running or self.inbox.busy)

    # -- the life of a session: see lifecycle ------------------------------------------------------

    def admit(self, session: Connection) -> None:
        """Keep a place for a session, which ``end`` gives back.

        Raises:
            Refused: there is no place, or the hub shuts down.
        """
        if not self.accepting:
            raise _shutting_down()
        self._lifecycle.admit(session)

    def admit_user(self, session: Connection) -> Awaitable[None] | None:
        """Keep a place for an admitted session among those of its user, which is known now.

        Returns what must be awaited for it, None if nothing must.

        Raises:
            Refused: there is no place, or the hub shuts down.
        """
        if not self.accepting:
            raise _shutting_down()
        return self._lifecycle.admit_user(session)

    async def dismiss(self, session: Connection, disconnect: Disconnect) -> None:
        """Close a session after what was published before."""
        await self.fanout.settled()
        self.close(session, disconnect)

    # -- what clients send -------------------------------------------------------------------------

    def message(self, session: Connection, data: str | bytes) -> None:
        """Give a client's message to the application."""
        self.on_activity(session)
        self._calls.call(session, self.hooks.on_message, data, size=len(data))


def _shutting_down() -> Refused:
    return Refused(503, "shutting down", Disconnect.SHUTDOWN)
