"""When a client is not read from: others have their turn, or what it has sent already is still to be carried out."""

import logging
import math

import anyio

from .. import clock
from ..connection import Connection, Owner, State
from ..disconnect import Disconnect
from ..logs import RateLimit
from ..runtime.time_slice import SharedSlice

# A client whose calls wait is closed when none of them was carried out for so long, in seconds: less than the 8 s that
# an SDK client has for its pong, which is not read meanwhile.
_PATIENCE = 5.0

# States in which authenticate may be waited for.
_NOT_YET_IN = State.NEW, State.ADMITTED

# Seconds between two log lines that say the same of many sessions.
_QUIET = 10.0


class _Wait:
    """A client's wait for room; as long as its calls are carried out it may go on."""

    __slots__ = ("_scope", "over")

    def __init__(self) -> None:
        self.over = anyio.Event()
        self._scope = anyio.move_on_after(_PATIENCE)

    def go_on(self) -> None:
        """One of its calls is carried out."""
        self._scope.deadline = anyio.current_time() + _PATIENCE

    async def wait(self) -> bool:
        """Return whether there is room; False if nothing was carried out for too long."""
        with self._scope:
            await self.over.wait()
        return not self._scope.cancelled_caught


class Intake:
    """Bounds what clients may have done in one turn of the event loop, and what may wait for one client's hooks.

    A client that sends faster than it is served is not read from; the transport then tells its peer to wait.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._slice = SharedSlice()
        self._held: set[Connection] = set()
        self._waits: dict[Connection, _Wait] = {}
        self.quiet = RateLimit(_QUIET)  # holds back lines about what clients send
        self.once = RateLimit(math.inf)  # lets each line through once

    def over(self, session: Connection, size: int) -> bool:
        """Count a piece of a client's input; return whether to ``hold`` before the next one is taken."""
        return self._slice.over(size) or (session.inbox is not None and session.inbox.half_full)

    async def hold(self, session: Connection) -> None:
        """Wait until the next piece of a client's input may be taken."""
        self._held.add(session)
        try:
            await self._room(session)
            await self._slice.next()
        finally:
            self._held.discard(session)

    def holds(self, session: Connection) -> bool:
        """Whether there may be something of a client that is not read yet."""
        return session in self._held

    def taken(self, session: Connection) -> None:
        """One of a session's calls is about to be carried out, or there are none left."""
        if (wait := self._waits.get(session)) is not None:
            wait.go_on()
            if session.inbox is None or not session.inbox.half_full:
                wait.over.set()

    async def _room(self, session: Connection) -> None:
        while session.disconnect is None and session.inbox is not None and session.inbox.half_full:
            wait = self._waits[session] = _Wait()
            try:
                # Who is not in yet waits for authenticate, which has a time of its own.
                if not await wait.wait() and session.state not in _NOT_YET_IN:
                    self._overloaded(session)
            finally:
                del self._waits[session]

    def _overloaded(self, session: Connection) -> None:
        message = (
            "session %s was closed: it has sent more than is carried out, of which queue_messages and queue_bytes "
            "may wait, and its hook has not returned for %d s"
        )
        self.quiet.log(logging.WARNING, clock.monotonic(), message, session.id, _PATIENCE)
        self._owner.close(session, Disconnect.OVERLOADED)
