"""The life of a session, from birth to death: one table, and the verbs that go through it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any

from .. import clock
from ..connection import Connection, Owner, State
from ..delivery.fanout import Fanout
from ..delivery.writers import Writers
from ..disconnect import Disconnect
from ..inbound.hooks import HookCalls, Hooks
from ..logs import RateLimit, printable
from ..membership.membership import Membership
from ..metrics.counters import Counters
from ..registry import Registry
from ..runtime.timer import Timer
from ..settings import Settings
from ..subscription import Subscription
from .admission import Admission

# How long a slow consumer may take for its close frame, in seconds: it is known not to read.
_SLOW_TIME = 1.0

# Seconds between two log lines that say the same of many sessions.
_QUIET = 10.0


class Event(Enum):
    """What can happen to a session."""

    __hash__ = object.__hash__  # as of State

    ADMIT = "a place is kept for it"
    JOIN = "it enters the registry"
    OPEN = "it is in its channels and can be sent to"
    CLOSE = "it is to end, after what is queued and a close frame"
    ABORT = "its peer takes nothing any more"
    END = "its receive loop is over"


# A look-up in an Enum of Python 3.11 costs as much as three calls.
_ADMITTED = State.ADMITTED
_JOINING = State.JOINING
_ADMIT = Event.ADMIT
_JOIN = Event.JOIN
_OPEN = Event.OPEN


class Action(Enum):
    """What is done when something happens to a session."""

    __hash__ = object.__hash__  # as of State

    REGISTER = "add it to the registry"
    UNREGISTER = "take it out of the registry and of its channels"
    CALL_ON_CONNECT = "have the application's on_connect called"
    CALL_ON_DISCONNECT = "have the application's on_disconnect called"
    LOG_SLOW = "log that it is closed, if that is because it is too slow"
    SEND_CLOSE = "have its writer send what is queued, and the close frame"
    DROP = "drop its connection"
    FREE = "give back its place and all else that is kept for it"


_CLOSE = (Action.LOG_SLOW, Action.SEND_CLOSE)
_ABORT = (Action.LOG_SLOW, Action.DROP)

# An event without a row changes nothing: closing twice is no error, and a session that was closed
# while it joined its channels is not opened.
TABLE: Mapping[State, Mapping[Event, tuple[State, tuple[Action, ...]]]] = {
    State.NEW: {
        Event.ADMIT: (State.ADMITTED, ()),
        Event.CLOSE: (State.CLOSING_EARLY, _CLOSE),
        Event.ABORT: (State.CLOSING_EARLY, _ABORT),
        Event.END: (State.CLOSED, (Action.FREE,)),
    },
    State.ADMITTED: {
        Event.JOIN: (State.JOINING, (Action.REGISTER,)),
        Event.CLOSE: (State.CLOSING_EARLY, _CLOSE),
        Event.ABORT: (State.CLOSING_EARLY, _ABORT),
        Event.END: (State.CLOSED, (Action.FREE,)),
    },
    State.JOINING: {
        Event.OPEN: (State.OPEN, (Action.CALL_ON_CONNECT,)),
        Event.CLOSE: (State.CLOSING_EARLY, (Action.UNREGISTER, *_CLOSE)),
        Event.ABORT: (State.CLOSING_EARLY, (Action.UNREGISTER, *_ABORT)),
        Event.END: (State.CLOSED, (Action.UNREGISTER, Action.FREE)),
    },
    State.OPEN: {
        Event.CLOSE: (State.CLOSING, (Action.UNREGISTER, *_CLOSE)),
        Event.ABORT: (State.CLOSING, (Action.UNREGISTER, *_ABORT)),
        Event.END: (State.CLOSED, (Action.UNREGISTER, Action.FREE, Action.CALL_ON_DISCONNECT)),
    },
    State.CLOSING_EARLY: {
        Event.ABORT: (State.CLOSING_EARLY, (Action.DROP,)),
        Event.END: (State.CLOSED, (Action.FREE,)),
    },
    State.CLOSING: {
        Event.ABORT: (State.CLOSING, (Action.DROP,)),
        Event.END: (State.CLOSED, (Action.FREE, Action.CALL_ON_DISCONNECT)),
    },
    State.CLOSED: {},
}


class Lifecycle:
    """Takes sessions through the table.

    Whoever admits a session must also end it, whatever happens in between.
    """

    def __init__(
        self,
        owner: Owner,
        settings: Settings,
        hooks: Hooks,
        registry: Registry[Connection, Subscription],
        admission: Admission,
        membership: Membership,
        fanout: Fanout,
        writers: Writers,
        calls: HookCalls,
        timer: Timer[Any],
        counters: Counters,
    ) -> None:
        self._owner = owner
        self._settings = settings
        self._hooks = hooks
        self._registry = registry
        self._admission = admission
        self._membership = membership
        self._fanout = fanout
        self._writers = writers
        self._calls = calls
        self._timer = timer
        self._counters = counters
        self._quiet = RateLimit(_QUIET)
        self.closing: set[Connection] = set()
        self._actions: dict[Action, Callable[[Connection], None]] = {
            Action.REGISTER: self._register,
            Action.UNREGISTER: self._unregister,
            Action.CALL_ON_CONNECT: self._call_on_connect,
            Action.CALL_ON_DISCONNECT: self._call_on_disconnect,
            Action.LOG_SLOW: self._log_slow,
            Action.SEND_CLOSE: self._send_close,
            Action.DROP: self._drop,
            Action.FREE: self._free,
        }

    def also(self, action: Action, do: Callable[[Connection], None]) -> None:
        """Have something more done with each session that an action is taken on, after it."""
        first = self._actions[action]

        def both(session: Connection) -> None:
            first(session)
            do(session)

        self._actions[action] = both

    # -- the verbs ---------------------------------------------------------------------------------

    def admit(self, session: Connection) -> None:
        """Keep a place for a session.

        Raises:
            Refused: there is no place.
        """
        if _ADMIT in TABLE[session.state]:
            self._admission.admit(session)
            self._handle(session, _ADMIT)

    def admit_user(self, session: Connection) -> Awaitable[None] | None:
        """Keep a place for a session among those of its user, which is known now.

        Returns what must be awaited for it, None if nothing must.

        Raises:
            Refused: there is no place.
        """
        return self._admission.admit_user(session) if session.state is _ADMITTED else None

    async def open(self, session: Connection, join: Callable[[], Awaitable[None]]) -> None:
        """Enter an admitted session, let ``join`` put it in its channels, and open it.

        A session that is closed meanwhile is not opened; whatever ``join`` raises is raised.
        """
        if self._handle(session, _JOIN):
            await join()
            self._handle(session, _OPEN)

    def note_reachable(self, session: Connection) -> None:
        """Let all processes know of a client that is opened by a command, once it is reachable."""
        if session.state is _JOINING:
            self._admission.tell_others(session)

    def close(self, session: Connection, disconnect: Disconnect) -> None:
        """Close a session: it leaves the registry now, and its writer sends what is queued."""
        self._handle(session, Event.CLOSE, disconnect)

    def abort(self, session: Connection, disconnect: Disconnect) -> None:
        """Close a session whose peer takes nothing any more: its connection is dropped."""
        self._handle(session, Event.ABORT, disconnect)

    def end(self, session: Connection, disconnect: Disconnect) -> None:
        """End a session whose receive loop is over, for ``disconnect`` if it was open until now."""
        self._handle(session, Event.END, disconnect)

    def _handle(
        self, session: Connection, event: Event, disconnect: Disconnect | None = None
    ) -> bool:
        """Take a session through the table; return whether it has a row for the event."""
        found = TABLE[session.state].get(event)
        if found is None:
            return False
        session.state, actions = found
        if session.disconnect is None:
            session.disconnect = disconnect
        for action in actions:
            self._actions[action](session)
        return True

    # -- the actions -------------------------------------------------------------------------------

    def _register(self, session: Connection) -> None:
        self._registry.add(session)
        protocol, io = session.codec.name, session.io
        self._counters.connects[protocol, io.name] += 1
        self._counters.sessions[protocol, io.name, io.writes] += 1
        for replaced in self._admission.enter(session):
            self._owner.close(replaced, Disconnect.CONNECTION_LIMIT)
        if not _opened_by_command(session):  # such a client is looked after since it was accepted
            self._owner.look_after(session)
            self._admission.tell_others(session)

    def count_as_direct(self, session: Connection) -> None:
        """Count a session as one with direct writes that was counted as one without."""
        if self._registry.get(session.id) is session:
            self._counters.sessions[session.protocol, session.transport, "ordinary"] -= 1
            self._counters.sessions[session.protocol, session.transport, "direct"] += 1

    def _unregister(self, session: Connection) -> None:
        self._registry.remove(session)
        self._counters.sessions[session.protocol, session.transport, session.io.writes] -= 1
        if session.disconnect is not None:
            self._counters.disconnects[session.disconnect.label] += 1
        self._admission.leave(session)
        self._membership.leave_all(session)

    def _call_on_connect(self, session: Connection) -> None:
        # An SDK client's commands may wait already, which come after it; an event stream's begins
        # with a call that comes before it.
        ahead = _opened_by_command(session)
        self._calls.call(session, self._hooks.on_connect, always=True, ahead=ahead)

    def _call_on_disconnect(self, session: Connection) -> None:
        if self._owner.running:
            self._calls.call(session, self._hooks.on_disconnect, session.disconnect, always=True)

    def _log_slow(self, session: Connection) -> None:
        disconnect = session.disconnect
        if disconnect is not None and disconnect.code == Disconnect.SLOW.code:
            message = "session %s of user %s was closed: %s"
            args = session.id, printable(session.user), disconnect.reason
            self._quiet.log(
                logging.WARNING, clock.monotonic(), message, *args, key=disconnect.reason
            )

    def _send_close(self, session: Connection) -> None:
        self._begin_closing(session)
        self._calls.drop(session)  # what it has said and no hook has got is nobody's business now
        queue = self._fanout.queues.open(session)  # the writer that serves it sends the close frame
        patience = self._settings.send_timeout
        if session.disconnect is not None and session.disconnect.code == Disconnect.SLOW.code:
            queue.clear()
            patience = min(patience, _SLOW_TIME)
        self._timer.cancel(session)  # an earlier deadline of its heartbeat must not cut it short
        self._timer.schedule(session, clock.monotonic() + patience)

    def _drop(self, session: Connection) -> None:
        self._begin_closing(session)
        session.io.stop(abort=True)

    def _begin_closing(self, session: Connection) -> None:
        self.closing.add(session)
        self._writers.notify_capacity(session)

    def _free(self, session: Connection) -> None:
        self._admission.release(session)
        self._writers.notify_capacity(session)
        session.detach_queue()
        self.closing.discard(session)
        self._timer.cancel(session)
        session.client = None  # it knows the session: a circle would wait for the garbage collector


def _opened_by_command(session: Connection) -> bool:
    return session.client is not None and session.client.opened_by_command
