"""The sessions of this process: who is here, what becomes of them, and the one timer that looks after all."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import anyio

from .. import clock
from ..brokers import Broker, PresenceStore
from ..channels import Namespaces
from ..connection import Connection, State
from ..delivery.fanout import Fanout
from ..delivery.writers import Writer, Writers
from ..disconnect import Disconnect
from ..encoding import Encoder
from ..errors import BrokerError
from ..heartbeat import HeartbeatAction
from ..logs import RateLimit, printable
from ..messages import Payload, StreamPosition
from ..metrics.counters import Counters
from ..names import EVERYBODY, user_channel, user_of
from ..protocols import WireMessage
from ..registry import Registry
from ..runtime.failures import Failures
from ..runtime.sync import KeyedLock
from ..runtime.tasks import TaskRoot, supervise
from ..runtime.threads import HookThreads
from ..runtime.timer import Timer
from ..runtime.workers import warn_about_multiple_workers
from ..settings import Settings
from ..subscription import Subscription
from .admission import Admission, Refused
from .ghosts import Ghosts
from .hooks import Hook, HookCalls, Hooks
from .join_leave import Announcements
from .pieces import Pieces
from .publisher import Publisher
from .stats import Stats

# What open sessions get at a shutdown to take their close frame, and their hooks to end, in seconds.
_SHUTDOWN_TIME = 3.0

# No session ends later than after so many seconds (a year) because it was told to; event loops count no further.
_MAX_EXPIRY = 365 * 24 * 60 * 60.0

# What a slow consumer gets to take its close frame, in seconds: it is known not to read.
_SLOW_TIME = 1.0

# Seconds between two log lines that say the same of many sessions.
_QUIET = 10.0

# A client of which not all is read, and which would be dead by what is, is looked at again after so long, in seconds.
_UNREAD_TIME = 1.0


class Hub:
    """Keeps the sessions of this process and decides when they end; transports tell it what came."""

    def __init__(
        self,
        settings: Settings,
        hooks: Hooks,
        broker: Broker,
        presence: PresenceStore,
        namespaces: Namespaces,
        counters: Counters,
        encoder: Encoder,
    ) -> None:
        self.settings = settings
        self.hooks = hooks
        self.registry: Registry[Connection, Subscription] = Registry()
        self.accepting = False
        self.id = secrets.token_urlsafe(9)  # this process, among others
        self.started_at = clock.monotonic()
        self.broker = broker
        self.presence = presence
        self.namespaces = namespaces
        self.counters = counters
        self.encode = encoder.encode
        self.encode_info = encoder.encode_info
        self.failures = Failures(counters)
        self.threads = HookThreads()
        self._background = TaskRoot(self.failures)
        self.spawn = self._background.spawn
        self.announcements = Announcements(self, broker, namespaces)
        self.turns = KeyedLock()
        self._timer: Timer[Connection | Writer] = Timer(self)
        self.schedule = self._timer.schedule
        self._closing: set[Connection] = set()
        self._calls = HookCalls(self, self.threads.others, settings, self.failures)
        self.intake = self._calls.intake
        self._writers = Writers(self, settings.send_timeout)
        self._quiet = RateLimit(_QUIET)
        self.stats = Stats(counters, self.registry, self._writers, broker, self.id)
        self.pieces = Pieces()
        self.fanout = Fanout(settings, self.registry, self._writers, self, counters, self.failures)
        publisher = Publisher(broker, namespaces, self.registry, self.fanout, counters, encoder)
        self.publish = publisher.publish
        self.send = publisher.send
        self.deliver = publisher.deliver
        self.lost = publisher.lost
        self._admission = Admission(settings, self.registry, presence)
        self.ghosts = Ghosts(self.registry, broker, self)

    @property
    def running(self) -> bool:
        """Whether it was started, and its event loop still runs."""
        return self._background.running

    @property
    def ending(self) -> bool:
        """Whether all background tasks are about to end: it was stopped, or its event loop ends without that."""
        return self._background.ending

    async def start(self) -> None:
        """Start the background tasks on the event loop that runs now."""
        await self._background.start()
        self._supervise("the fan-out", self.fanout.run)
        self._supervise("the timer", self._timer.run)
        self._supervise("presence", self.presence.run)
        if self.settings.metrics:
            self._supervise("the sharing of metrics", self.stats.share)
        if self.settings.broker.startswith("memory:"):
            self._background.spawn(warn_about_multiple_workers)
        self.accepting = True

    def _supervise(self, name: str, task: Callable[[], Awaitable[None]]) -> None:
        self._background.spawn(supervise, name, task, partial(self.failures.count, "task"))

    async def stop(self) -> None:
        """Close all sessions and stop, in a bounded time whatever the peers and the hooks do."""
        self.accepting = False
        with anyio.move_on_after(_SHUTDOWN_TIME):
            await self.fanout.settled()
        self.fanout.stop()
        for session in self.registry.sessions():
            self.close(session, Disconnect.SHUTDOWN)
        await self.see_off()
        await self._idle()
        await self._background.stop()
        self.threads.close()
        if self.settings.metrics:
            self.stats.close()

    async def see_off(self) -> None:
        """Wait for sessions that are closing, but not for ever: those that take no close frame are then dropped."""
        await self._idle()
        for session in list(self._closing):
            session.io.stop(abort=True)

    async def _idle(self) -> None:
        """Wait until no session is closing, no hook is running and all are told who left, but not for ever."""
        until = clock.monotonic() + _SHUTDOWN_TIME
        while self._busy and clock.monotonic() < until:  # noqa: ASYNC110  # once, for several things
            await anyio.sleep(0.01)

    @property
    def _busy(self) -> bool:
        return bool(self._closing or self._calls.running or self.announcements.running)

    # -- sessions come ----------------------------------------------------------------------------------------------

    async def admit(self, session: Connection) -> None:
        """Keep a place for a session that is on its way; once more when its user becomes known.

        It is taken by ``open``; a session that ends before goes the way of ``ended``, or of ``release``. With
        ``when_exceeded=replace`` there is always one: the user's oldest session goes when this one comes.

        Raises:
            Refused: there is none.
        """
        if not self.accepting:
            raise Refused(503, "shutting down", Disconnect.SHUTDOWN)
        try:
            await self._admission.admit(session)
        except Refused as refused:
            if refused.status == 429:
                self.ghosts.suspect(session.user)
            raise

    def release(self, session: Connection) -> None:
        """Give the place of a session that never came to others; one that has none is no error."""
        self._admission.release(session)

    async def prepare(self, session: Connection, channels: Iterable[str]) -> None:
        """Hear the channels of a session that is on its way: from its first moment on it misses nothing."""
        for channel in (*self.own_channels(session), *channels):
            await self._hear(channel)
            if not self.registry.members(channel):
                self.broker.leave(channel)  # for a while it is heard all the same

    async def open(self, session: Connection, channels: Iterable[str]) -> None:
        """Take in a session that is ready to be sent to, subscribed to its user's channel, ``*`` and ``channels``."""
        own = Subscription(self.fanout.pending.number)  # one for all the channels that it never leaves
        self.enter(session)
        joined = [channel for channel in self.own_channels(session) if self._join(session, channel, own)]
        joined += [channel for channel in channels if self._join(session, channel, Subscription(own.since))]
        for channel in joined:
            await self._hear(channel)
            self.announcements.joined(session, channel)
        self.call(session, self.connected(session), always=True)

    def connected(self, session: Connection) -> Hook | None:
        """Return ``on_connect`` for a session that can be sent to, to be called next: ``on_disconnect`` will follow.

        A session that has ended on its way gets neither.
        """
        session.connected = session.state is State.OPEN
        return self.hooks.on_connect if session.connected else None

    async def _hear(self, channel: str) -> None:
        """Have a channel's publications come here; if that cannot be now they will, as soon as the broker is back."""
        try:
            await self.broker.join(channel, kept=self.namespaces.stream(channel) is not None)
        except BrokerError as error:
            message = "a session is in a channel that is not heard yet: %s"
            self._quiet.log(logging.WARNING, clock.monotonic(), message, error)

    def own_channels(self, session: Connection) -> list[str]:
        """Return the channels that a session is in from the start."""
        own = [user_channel(session.user)] if session.user else []
        return [EVERYBODY, *own] if self.settings.everybody else own

    def enter(self, session: Connection) -> None:
        """Take in a session that is in no channel yet."""
        session.entered = True
        self.registry.add(session)
        kind = session.protocol, session.transport
        self.counters.connects[kind] += 1
        self.counters.sessions[kind] += 1
        for replaced in self._admission.came(session):
            self.close(replaced, Disconnect.CONNECTION_LIMIT)
        self.look_after(session)

    async def join(self, session: Connection, channel: str, subscription: Subscription) -> None:
        """Put a session in a channel.

        Raises:
            BrokerError: it is in, but what is published may not reach it yet.
        """
        if self._join(session, channel, subscription):
            await self.broker.join(channel, kept=self.namespaces.stream(channel) is not None)

    def _join(self, session: Connection, channel: str, subscription: Subscription) -> bool:
        """Put a session in a channel, and return whether it is in now."""
        if session.state is not State.OPEN:  # it ended while it was decided whether it may come in
            subscription.active = False
            return False
        session.subscriptions[channel] = subscription
        self.registry.join(session, channel, subscription)
        if user_of(channel) is None:  # who is in a user's follows the sessions' lives
            self.presence.entered(channel, session)
        return True

    async def subscribe(
        self, session: Connection, channel: str, data: Payload | None = None, since: StreamPosition | None = None
    ) -> None:
        """Put a session in a channel; what was published before does not reach it. Twice is no error.

        A client whose protocol has words for it is told ``data``, and gets what came after ``since``.
        """
        if session.state is not State.OPEN:
            return
        if session.client is not None:
            await session.client.subscribe_by_server(channel, data, since)
        elif channel not in session.subscriptions and self._join(
            session, channel, Subscription(self.fanout.pending.number)
        ):
            await self._hear(channel)
            self.announcements.joined(session, channel)

    def has_room_for_channel(self, session: Connection) -> bool:
        """Whether a session may be in one more channel."""
        own = sum(channel in session.subscriptions for channel in self.own_channels(session))
        return len(session.subscriptions) - own < self.settings.max_channels

    def unsubscribe(self, session: Connection, channel: str) -> None:
        """Take a session out of a channel, and tell its client if the protocol has a word for it."""
        if session.client is not None:
            session.client.unsubscribe_by_server(channel)
        else:
            self.leave(session, channel)

    def leave(self, session: Connection, channel: str) -> None:
        """Take a session out of a channel; one that is not in it is no error."""
        subscription = session.subscriptions.get(channel)
        if subscription is None:
            return
        self._leave_channel(session, channel, subscription)
        del session.subscriptions[channel]

    def _leave_channel(self, session: Connection, channel: str, subscription: Subscription) -> None:
        subscription.active = False
        if user_of(channel) is None:
            self.presence.left(channel, session)
        if self.registry.leave(session, channel):
            self.broker.leave(channel)
        self.announcements.left(session, channel, subscription)

    def watched(self, channel: str) -> bool:
        """Whether it is to be known, over all processes, who is in a channel."""
        return user_of(channel) is not None or self.namespaces.options(channel).presence

    # -- what clients do --------------------------------------------------------------------------------------------

    def on_activity(self, session: Connection) -> None:
        """Anything came from a client."""
        session.last_seen = now = clock.monotonic()
        session.heartbeat.on_activity(now)

    def heartbeat(self, session: Connection, answer: WireMessage) -> None:
        """A heartbeat came: answer it, ahead of whatever waits."""
        session.last_seen = now = clock.monotonic()
        session.heartbeat.on_pong(now)
        self.look_after(session)
        self.send_urgent(session, answer)

    def send_urgent(self, session: Connection, message: WireMessage) -> None:
        """Send a message ahead of whatever waits."""
        if session.state is State.OPEN and not session.io.write(message.frame):
            self.fanout.queues.open(session).put_urgent(message)

    def send_wire(self, session: Connection, message: WireMessage) -> None:
        """Send a message of the session's protocol after what is queued."""
        if session.state is State.OPEN and not session.io.write(message.frame):
            self.fanout.queues.put(session, [message])

    def message(self, session: Connection, data: str | bytes) -> None:
        """A message for the application came."""
        self.on_activity(session)
        self.call(session, self.hooks.on_message, data, size=len(data))

    def call(self, session: Connection, hook: Hook | None, *args: Any, size: int = 0, always: bool = False) -> None:
        """Have a hook called with a session, after all that was asked for before; ``always`` even if it is closed."""
        self._calls.call(session, hook, *args, size=size, always=always)

    # -- what sessions are sent -------------------------------------------------------------------------------------

    async def wait_capacity(self, session: Connection) -> None:
        """Wait until a session has room for an answer: what a client asks for must not make it a slow consumer."""
        await self._writers.wait_capacity(session)

    def behind(self, session: Connection) -> None:
        """More was written to a session than its peer takes: from now on its time runs, as that of a send does."""
        if session.state is State.OPEN:
            self.fanout.queues.open(session)

    # -- sessions end -----------------------------------------------------------------------------------------------

    async def dismiss(self, session: Connection, disconnect: Disconnect) -> None:
        """Close a session that has first got all that was published so far."""
        await self.fanout.settled()
        self.close(session, disconnect)

    def close(self, session: Connection, disconnect: Disconnect) -> None:
        """Close a session: it leaves the registry now; what is queued is sent first, unless it is too slow for that.

        What it has said and no hook has got is nobody's business any more.
        """
        if not self._leave(session, disconnect):
            return
        self._calls.drop(session)
        queue = self.fanout.queues.open(session)  # the writer that serves it sends the close frame
        patience = self.settings.send_timeout
        if disconnect.code == Disconnect.SLOW.code:
            queue.clear()
            self._tell(session, disconnect)
            patience = min(patience, _SLOW_TIME)
        self._timer.cancel(session)  # an earlier one of its heartbeat must not cut it short
        self._timer.schedule(session, clock.monotonic() + patience)

    def end_streams(self) -> None:
        """The server shuts down: close what it would wait for, and let nobody in who would be closed at once."""
        self.accepting = False
        for session in self.registry.sessions():
            if session.transport == "sse":
                self.close(session, Disconnect.SHUTDOWN)

    def expire(self, session: Connection, seconds: float | None) -> None:
        """Have a session end so many seconds from now, at once with none left, or with None not for its age."""
        if seconds is not None and seconds <= 0:
            self.close(session, Disconnect.EXPIRED)
            return
        session.expires_at = None if seconds is None else clock.monotonic() + min(seconds, _MAX_EXPIRY)
        self.look_after(session)

    def abort(self, session: Connection, disconnect: Disconnect) -> None:
        """The peer takes nothing any more: drop the connection."""
        if self._leave(session, disconnect) and disconnect.code == Disconnect.SLOW.code:
            self._tell(session, disconnect)
        session.io.stop(abort=True)

    def ended(self, session: Connection, disconnect: Disconnect) -> None:
        """The receive loop is over, whatever ended it; the last that happens to a session, and it happens once."""
        self._leave(session, disconnect)
        self.release(session)
        session.state = State.CLOSED
        session.detach_queue()
        self._closing.discard(session)
        self._timer.cancel(session)
        if self.running and session.connected:
            self.call(session, self.hooks.on_disconnect, session.disconnect, always=True)
        session.client = None  # it knows the session: as a circle both would wait for the garbage collector

    def _tell(self, session: Connection, disconnect: Disconnect) -> None:
        reason = disconnect.reason
        message = "session %s of user %s was closed: %s"
        args = session.id, printable(session.user), reason
        self._quiet.log(logging.WARNING, clock.monotonic(), message, *args, key=reason)

    def _leave(self, session: Connection, disconnect: Disconnect) -> bool:
        if not session.begin_closing(disconnect):
            return False
        self._closing.add(session)
        self._writers.notify_capacity(session)
        self.registry.remove(session)
        if session.entered:
            self.counters.sessions[session.protocol, session.transport] -= 1
            self.counters.disconnects[disconnect.label] += 1
            self._admission.went(session)
        for channel, subscription in session.subscriptions.items():
            self._leave_channel(session, channel, subscription)
        return True

    # -- the timer --------------------------------------------------------------------------------------------------

    def look_after(self, session: Connection) -> None:
        """Have the timer look at a session when it next wants that."""
        if (when := session.next_deadline()) is not None:
            self._timer.schedule(session, when)

    def check(self, item: Connection | Writer, now: float) -> None:
        if isinstance(item, Writer):
            if (when := self._writers.check(item, now)) is not None:
                self._timer.schedule(item, when)
        elif item.state is State.CLOSING:
            item.io.stop(abort=True)
        elif item.expires_at is not None and item.expires_at <= now:
            self.close(item, Disconnect.EXPIRED)
        else:
            self._check_open(item, now)

    def check_failed(self, item: Connection | Writer, error: Exception) -> None:
        """Drop what cannot be looked after: nobody else would ever end it."""
        session = item.session if isinstance(item, Writer) else item
        whose = "" if session is None else f" for session {session.id}"
        self.failures.report("timer", error, "the timer", whose)
        if session is not None:
            self.abort(session, Disconnect.SERVER_ERROR)

    def _check_open(self, session: Connection, now: float) -> None:
        action = session.heartbeat.check(now)
        if action is HeartbeatAction.DEAD:
            if self.intake.holds(session):  # what it owes may be in what is not read yet
                self._timer.schedule(session, now + _UNREAD_TIME)
            else:
                self.close(session, session.heartbeat.dead)
            return
        if action is HeartbeatAction.PING and session.codec.ping is not None:
            self.send_urgent(session, session.codec.ping)
        if session.client is not None:
            session.client.check(now)
        self.look_after(session)
