"""Limits how fast clients are read from: no faster than the event loop and their hooks keep up."""

import logging
import math

import anyio

from .. import clock
from ..connection import Connection, Owner, State
from ..disconnect import Disconnect
from ..logs import RateLimit
from ..runtime.time_slice import SharedSlice

# A client is closed if its calls wait and none was made for so long, in seconds: less than the 8 s
# that an SDK client has for its pong, which is not read meanwhile.
_PATIENCE = 5.0

# States in which authenticate may be waited for.
_NOT_YET_IN = State.NEW, State.ADMITTED

# Seconds between two log lines that say the same of many sessions.
_QUIET = 10.0


class _Wait:
    """A client's wait until fewer of its calls wait; it goes on as long as calls are made."""

    __slots__ = ("_scope", "over")

    def __init__(self) -> None:
        self.over = anyio.Event()
        self._scope = anyio.move_on_after(_PATIENCE)

    def go_on(self) -> None:
        """Extend the wait, as one of the client's calls is made."""
        self._scope.deadline = anyio.current_time() + _PATIENCE

    async def wait(self) -> bool:
        """Return whether few enough calls wait; False if none was made for too long."""
        with self._scope:
            await self.over.wait()
        return not self._scope.cancelled_caught


class Intake:
    """Bounds the work for clients in one turn of the event loop, and the calls that wait for each.

    A client that sends faster than that is not read from; its connection makes it wait.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._slice = SharedSlice()
        self.held: set[Connection] = set()  # not read from now
        self._waits: dict[Connection, _Wait] = {}
        self.quiet = RateLimit(_QUIET)  # holds back lines about what clients send
        self.once = RateLimit(math.inf)  # lets each line through once
        # Limits of servers, compared with those of the settings (see ``transports.limits``).
        self.checked_limits: set[int] = set()
        self.high_limits: set[int] = set()

    def over(self, session: Connection, size: int) -> bool:
        """Count a piece of a client's input; return whether to ``hold`` before the next one."""
        return self._slice.over(size) or (session.inbox is not None and session.inbox.half_full)

    async def hold(self, session: Connection) -> None:
        """Wait until the next piece of a client's input may be taken."""
        self.held.add(session)
        try:
            await self._room(session)
            await self._slice.next()
        finally:
            self.held.discard(session)

    def holds(self, session: Connection) -> bool:
        """Whether a client may have sent something that is not read yet."""
        return session in self.held

    def taken(self, session: Connection) -> None:
        """Note that one of a session's calls is made, or that none is left."""
        if (wait := self._waits.get(session)) is not None:
            wait.go_on()
            if session.inbox is None or not session.inbox.half_full:
                wait.over.set()

    async def _room(self, session: Connection) -> None:
        while session.disconnect is None and session.inbox is not None and session.inbox.half_full:
            wait = self._waits[session] = _Wait()
            try:
                # A session that is not in yet waits for authenticate, which has a time limit.
                if not await wait.wait() and session.state not in _NOT_YET_IN:
                    self._overloaded(session)
            finally:
                del self._waits[session]

    def _overloaded(self, session: Connection) -> None:
        message = (
            "session %s was closed: it has sent more than is carried out, of which "
            "queue_messages and queue_bytes may wait, and its hook has not returned for %d s"
        )
        self.quiet.log(logging.WARNING, clock.monotonic(), message, session.id, _PATIENCE)
        self._owner.close(session, Disconnect.OVERLOADED)
