"""The ordinary path: sends what is queued, with as many tasks as there are sends that wait.

One task takes one session after the other and sends all that it has. As long as no send waits, one task serves every
session, which costs what a loop of ``await send(...)`` costs. When a send does wait, the next task takes over at once,
so a peer that does not read holds up nothing but its own task.
"""

from collections import deque

import anyio

from .. import clock
from ..connection import Connection, Owner, State
from ..disconnect import Disconnect
from ..protocols import WireMessage
from ..runtime.event_loop import current_task, ends_task
from ..sendqueue import SendQueue

# Idle tasks that are kept for the next need; more than that only a server whose every send waits ever uses.
_KEPT = 8

# How long all writers together may hold the loop before others get their turn, in seconds.
_HOLD = 0.004

# A session whose current send has waited this long, in seconds, is slow: publishers wait for it no more.
_SLOW_AFTER = 0.1

# How long publishers wait at most for sessions that read, in seconds: 512 kB at half a megabyte a second.
_MAX_RELIEF = 1.0


class Writer:
    """One task that sends: the session it is at, and the scope that ends it."""

    __slots__ = ("queue", "scope", "session", "wake")

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.wake = anyio.Event()
        self.session: Connection | None = None
        self.queue: SendQueue[WireMessage] | None = None  # the session's, which forgets it when its peer leaves


class Writers:
    """Sends the queues of all sessions.

    The owner's timer calls ``check`` for a Writer whose send must be looked at; a session whose peer takes no more is
    aborted.
    """

    def __init__(self, owner: Owner, send_timeout: float) -> None:
        self._owner = owner
        self._send_timeout = send_timeout
        self._ready: deque[Connection] = deque()
        self._parked: list[Writer] = []
        self._working: set[Writer] = set()
        self._coming = False  # a writer was woken and has not yet come to the ready sessions
        self._until = 0.0  # when the writers' time in this turn of the loop is over
        self._rest = anyio.Lock(fast_acquire=True)  # of those whose time is over one goes on in a turn, the first first
        self._resting = 0  # how many these are
        self._readied = self._begun = 0  # sessions that were ready, and those of them that a writer has come to
        self._caught_up: tuple[int, anyio.Event] | None = None  # who waits for how many to be begun
        self._pressed: dict[Connection, None] = {}
        self._awaited: dict[Connection, anyio.Event] = {}  # those whose room somebody waits for

    def ready(self, session: Connection) -> None:
        """A session has begun to have something queued."""
        self._ready.append(session)
        self._readied += 1
        self._call_writer()

    @property
    def queue_bytes(self) -> int:
        """The bytes that wait in all queues: those of sessions that wait for a writer, and those that have one."""
        queues = [session.queue for session in self._ready] + [writer.queue for writer in self._working]
        return sum(queue.bytes for queue in queues if queue is not None)

    def _call_writer(self) -> None:
        if self._coming:
            return
        self._coming = True
        if self._parked:
            self._parked.pop().wake.set()
        else:
            self._owner.spawn(self._work, Writer())

    async def _work(self, writer: Writer) -> None:
        with writer.scope:
            while True:
                await self._serve(writer)
                # One that was cancelled and got here all the same, as its send ended just then, serves nobody any more.
                if writer.scope.cancel_called or len(self._parked) >= _KEPT:
                    return
                writer.wake = anyio.Event()
                self._parked.append(writer)
                await writer.wake.wait()

    async def _serve(self, writer: Writer) -> None:
        self._coming = False
        if self._resting:  # who rests goes on with the ready sessions, and calls the next one then
            return
        self._working.add(writer)
        try:
            if clock.monotonic() > self._until:
                await self._next_turn()
            while self._ready and not writer.scope.cancel_called:
                session = self._ready.popleft()
                self._say_begun()
                if self._ready:
                    self._call_writer()  # it comes when this one waits, and finds nothing when this one does not
                await self._drain(writer, session)
        finally:
            self._working.discard(writer)
        if self._ready:
            self._call_writer()

    async def _drain(self, writer: Writer, session: Connection) -> None:
        writer.session, writer.queue = session, session.queue
        here = current_task()
        try:
            await self._send_all(writer, session)
        except BaseException as error:  # whatever a server raises here means that the peer is gone
            if ends_task(error, here):
                raise
            self._owner.abort(session, session.disconnect or Disconnect.CONNECTION_LOST)
        finally:
            writer.session = writer.queue = None
            session.detach_queue()
            self.notify_capacity(session)

    async def _send_all(self, writer: Writer, session: Connection) -> None:
        send, now = session.io.send, clock.monotonic()
        self._owner.schedule(writer, now + self._send_timeout)
        while session.queue is not None:
            while (message := session.queue.take(now)) is not None:
                if self._awaited and not session.queue.half_full:
                    self.notify_capacity(session)
                await send(message)
                now = clock.monotonic()
                if now > self._until:
                    session.queue.sending_since = None  # it is not the peer that it waits for
                    now = await self._next_turn()
                    self._owner.schedule(writer, now + self._send_timeout)
                    if session.queue is None:
                        return
            await session.io.flush()
            if session.queue.empty:
                break
        if session.state is State.CLOSING and session.disconnect is not None:
            await session.io.close(session.disconnect)
            session.io.stop()

    async def _next_turn(self) -> float:
        """Let all others have their turn, once for all writers, and return when it was over.

        Were each writer's time its own, every one that is woken would hold the loop for as long again.
        """
        self._resting += 1
        try:
            async with self._rest:
                if clock.monotonic() > self._until:
                    await anyio.lowlevel.checkpoint()
                    self._until = clock.monotonic() + _HOLD
        finally:
            self._resting -= 1
        if self._ready:
            self._call_writer()  # one that came meanwhile has left again
        return clock.monotonic()

    @property
    def behind(self) -> bool:
        """Whether there are sessions that no writer has come to."""
        return self._begun < self._readied

    async def caught_up(self) -> None:
        """Wait until a writer has come to each session that is ready now; those that come later do not count."""
        if self.behind:
            self._caught_up = self._readied, anyio.Event()
            await self._caught_up[1].wait()

    def _say_begun(self) -> None:
        self._begun += 1
        if self._caught_up is not None and self._begun >= self._caught_up[0]:
            self._caught_up[1].set()
            self._caught_up = None

    async def wait_capacity(self, session: Connection) -> None:
        """Wait until the queue of a session is less than half full, or the session has ended."""
        while session.state is State.OPEN and session.queue is not None and session.queue.half_full:
            await self._awaited.setdefault(session, anyio.Event()).wait()

    def notify_capacity(self, session: Connection) -> None:
        """Let those go who wait for a session's room: there is some, or it will not be needed."""
        if (awaited := self._awaited.pop(session, None)) is not None:
            awaited.set()

    def check(self, writer: Writer, now: float) -> float | None:
        """Return when to look at a writer again, or None; ends the session of one whose send takes too long."""
        session, queue = writer.session, writer.queue
        if session is None or queue is None or queue.sending_since is None:
            return None
        limit = queue.sending_since + self._send_timeout
        if now < limit:
            return limit
        writer.scope.cancel()
        self._owner.abort(session, session.disconnect or Disconnect.SEND_TIMEOUT)
        return None

    def apply_backpressure(self, session: Connection) -> None:
        """A session's queue is half full: publishers should wait a little, unless its peer has stopped reading."""
        queue = session.queue
        if queue is None or queue.slow or session in self._pressed:
            return
        if queue.sending_since is not None and clock.monotonic() - queue.sending_since > _SLOW_AFTER:
            queue.slow = True
        else:
            self._pressed[session] = None

    async def wait_backpressure(self) -> None:
        """Wait for healthy sessions whose queues are half full; publishers that are faster than they wait for this.

        A peer that has just stopped reading looks healthy at first: it holds the others up for a tenth of a second
        once; one that reads, but too slowly, for a second. After that nobody waits for it until its queue was empty.
        """
        until = clock.monotonic() + _MAX_RELIEF
        while self._pressed:
            await anyio.sleep(0.001)
            now = clock.monotonic()
            behind: dict[Connection, None] = {}
            for session in self._pressed:
                queue = session.queue
                if queue is None or not queue.half_full:
                    continue
                if now > until or (queue.sending_since is not None and now - queue.sending_since > _SLOW_AFTER):
                    queue.slow = True
                else:
                    behind[session] = None
            self._pressed = behind
