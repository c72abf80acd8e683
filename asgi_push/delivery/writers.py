"""The tasks that send what is queued, as many as there are sends that wait.

One task takes one session after the other and sends all that is queued for it. As long as no send
waits, one task serves all sessions, which costs as much as a loop of ``await send(...)``. When a
send waits, the next task takes over at once, so a peer that does not read holds up only one task.
"""

from collections import deque

import anyio

from .. import clock
from ..connection import Connection, Owner, State
from ..disconnect import Disconnect
from ..protocols import WireMessage
from ..runtime.event_loop import current_task, ends_task
from ..sendqueue import SendQueue

# The most idle tasks that are kept for later; only a server whose every send waits uses more.
_MAX_PARKED = 8

# How long all writers together may hold the loop before other tasks run, in seconds.
_HOLD = 0.004

# A session whose current send has waited this long, in seconds, is slow: publishers no longer wait
# for it.
_SLOW_AFTER = 0.1

# The longest that publishers wait for sessions that do read, in seconds: 512 kB take that long at
# half a megabyte a second.
_MAX_BACKPRESSURE = 1.0


class Writer:
    """One task that sends: the session that it serves now, and the scope that ends it."""

    __slots__ = ("queue", "scope", "session", "wake")

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.wake = anyio.Event()
        self.session: Connection | None = None
        # The session's, which no longer has it once its peer has left.
        self.queue: SendQueue[WireMessage] | None = None


class Writers:
    """Sends the queues of all sessions.

    The owner's timer calls ``check`` for each writer whose send may take too long. A session whose
    peer takes no more is aborted.
    """

    def __init__(self, owner: Owner, send_timeout: float) -> None:
        self._owner = owner
        self._send_timeout = send_timeout
        self._ready: deque[Connection] = deque()
        self._parked: list[Writer] = []
        self._working: set[Writer] = set()
        self._coming = False  # a writer was woken and has not yet come to the ready sessions
        self._until = 0.0  # when the writers' time in this turn of the loop is over
        # Of the writers whose time is over one goes on in each turn, in the order they came.
        self._rest = anyio.Lock(fast_acquire=True)
        self._resting = 0  # how many these writers are
        self._readied = 0  # how many sessions were ever ready
        self._begun = 0  # how many of them a writer has come to
        self._caught_up: tuple[int, anyio.Event] | None = None  # set when this many are begun
        self._pressed: dict[Connection, None] = {}
        self._awaited: dict[Connection, anyio.Event] = {}  # sessions whose capacity is waited for

    def ready(self, session: Connection) -> None:
        """Send the queue of a session, which has just got one."""
        self._ready.append(session)
        self._readied += 1
        self._call_writer()

    @property
    def queue_bytes(self) -> int:
        """The bytes that wait in the queues of all sessions."""
        queues = [session.queue for session in self._ready]
        queues += [writer.queue for writer in self._working]
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
        here = current_task()  # once: to look for each session costs a tenth of its turn
        with writer.scope:
            while True:
                await self._serve(writer, here)
                # A cancelled writer gets here if its send ended just then; it serves no more.
                if writer.scope.cancel_called or len(self._parked) >= _MAX_PARKED:
                    return
                writer.wake = anyio.Event()
                self._parked.append(writer)
                await writer.wake.wait()

    async def _serve(self, writer: Writer, here: object) -> None:
        self._coming = False
        if self._resting:  # the one that rests goes on with the ready sessions
            return
        self._working.add(writer)
        try:
            if clock.monotonic() > self._until:
                await self._next_turn()
            while self._ready and not writer.scope.cancel_called:
                session = self._ready.popleft()
                self._say_begun()
                if self._ready:
                    self._call_writer()  # it takes over if this one has to wait
                await self._drain(writer, session, here)
        finally:
            self._working.discard(writer)
        if self._ready:
            self._call_writer()

    async def _drain(self, writer: Writer, session: Connection, here: object) -> None:
        writer.session = session
        writer.queue = session.queue
        try:
            await self._send_all(writer, session)
        except BaseException as error:  # whatever a server raises, the peer is gone
            if ends_task(error, here):
                raise
            self._owner.abort(session, session.disconnect or Disconnect.CONNECTION_LOST)
        finally:
            writer.session = writer.queue = None
            session.detach_queue()
            self.notify_capacity(session)

    async def _send_all(self, writer: Writer, session: Connection) -> None:
        send = session.io.send
        now = clock.monotonic()
        self._owner.schedule(writer, now + self._send_timeout)
        while session.queue is not None:
            while (message := session.queue.take(now)) is not None:
                if self._awaited and not session.queue.half_full:
                    self.notify_capacity(session)
                await send(message)
                now = clock.monotonic()
                if now > self._until:
                    session.queue.sending_since = None  # it does not wait for the peer
                    now = await self._next_turn()
                    self._owner.schedule(writer, now + self._send_timeout)
                    if session.queue is None:
                        return
            await session.io.flush()
            if session.queue.empty:
                break
        if session.disconnect is not None and session.state is not State.CLOSED:
            await session.io.close(session.disconnect)
            session.io.stop()

    async def _next_turn(self) -> float:
        """Let other tasks run, once for all writers, and return the time after that.

        If each writer had time of its own, each one that is woken would hold the loop for as long
        again.
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
            self._call_writer()  # a writer that came meanwhile has left again
        return clock.monotonic()

    @property
    def behind(self) -> bool:
        """Whether a session waits for a writer."""
        return self._begun < self._readied

    async def caught_up(self) -> None:
        """Wait until a writer has come to each session that waits for one now."""
        if self.behind:
            self._caught_up = self._readied, anyio.Event()
            await self._caught_up[1].wait()

    def _say_begun(self) -> None:
        self._begun += 1
        if self._caught_up is not None and self._begun >= self._caught_up[0]:
            self._caught_up[1].set()
            self._caught_up = None

    async def wait_capacity(self, session: Connection) -> None:
        """Wait until a session's queue is less than half full, or the session has ended."""
        while session.disconnect is None and session.queue is not None and session.queue.half_full:
            await self._awaited.setdefault(session, anyio.Event()).wait()

    def notify_capacity(self, session: Connection) -> None:
        """Let those go on that wait for a session's capacity."""
        if (awaited := self._awaited.pop(session, None)) is not None:
            awaited.set()

    def check(self, writer: Writer, now: float) -> float | None:
        """Return when to check a writer again; None for never.

        The session of a writer whose send takes too long is aborted.
        """
        session = writer.session
        queue = writer.queue
        if session is None or queue is None or queue.sending_since is None:
            return None
        limit = queue.sending_since + self._send_timeout
        if now < limit:
            return limit
        writer.scope.cancel()
        self._owner.abort(session, session.disconnect or Disconnect.SEND_TIMEOUT)
        return None

    def apply_backpressure(self, session: Connection) -> None:
        """Make publishers wait for a session whose queue is half full, if its peer reads."""
        queue = session.queue
        if queue is None or queue.slow or session in self._pressed:
            return
        if (
            queue.sending_since is not None
            and clock.monotonic() - queue.sending_since > _SLOW_AFTER
        ):
            queue.slow = True
        else:
            self._pressed[session] = None

    async def wait_backpressure(self) -> None:
        """Wait for the sessions whose queues are half full but whose peers read.

        A peer that has just stopped reading looks healthy at first: it holds the others up once,
        for a tenth of a second. A peer that reads too slowly does so for a second. After that no
        publisher waits for it until its queue was empty.
        """
        until = clock.monotonic() + _MAX_BACKPRESSURE
        while self._pressed:
            await anyio.sleep(0.001)
            now = clock.monotonic()
            behind: dict[Connection, None] = {}
            for session in self._pressed:
                queue = session.queue
                if queue is None or not queue.half_full:
                    continue
                since = queue.sending_since
                if now > until or (since is not None and now - since > _SLOW_AFTER):
                    queue.slow = True
                else:
                    behind[session] = None
            self._pressed = behind
