"""Threads for hooks that may block.

The hooks that decide about entry have threads of their own, which no other hook can keep busy.
"""

import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

import anyio

from ..errors import NotRunningError
from .event_loop import call_soon

# The most threads of one kind: as many as Starlette has for all endpoints that are not async. Each
# is started when it is first needed.
MOST = 40


class Threads:
    """Runs functions for one event loop, in at most ``most`` threads, in the order of their calls.

    The threads are daemons, so a function that hangs does not keep the process from ending. So
    they are not asyncio's, for which the interpreter waits at its end. They are not anyio's either,
    which end with the task that first used one: under servers without lifespan (daphne) that is
    the hub's, which outlives the loop.
    """

    def __init__(self, name: str, most: int = MOST) -> None:
        self._name = name
        self._most = most
        self._count = 0
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        # The threads end too if the event loop ended without a stop.
        self._end = weakref.finalize(self, _end, self._jobs, most)
        self._end.atexit = False

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function(*args)`` returns, or raise what it raises.

        A cancelled call that has not begun is dropped; one that has begun runs on in its thread.

        Raises:
            NotRunningError: the threads are closed.
        """
        if self._closed:
            raise NotRunningError("Push has stopped")
        job = _Job(partial(copy_context().run, function, *args))
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and self._count < self._most:
            self._count += 1
            name = f"asgi_push {self._name} {self._count}"
            args = (self._jobs, self._idle)
            threading.Thread(target=_work, args=args, name=name, daemon=True).start()
        try:
            await job.done.wait()
        finally:
            job.wanted = False
        return job.outcome()

    def close(self) -> None:
        """End each thread as soon as it has nothing to do."""
        self._closed = True
        self._end()


class _Job:
    """One call of a function, and its outcome."""

    __slots__ = ("_call", "_call_soon", "_error", "_value", "done", "wanted")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call
        self._call_soon = call_soon()
        self._value: Any = None
        self._error: BaseException | None = None
        self.done = anyio.Event()
        self.wanted = True

    def run(self) -> None:
        """Call the function, in a thread."""
        call = self._call
        self._call = None
        if not self.wanted or call is None:
            return
        try:
            self._value = call()
        except BaseException as error:  # noqa: BLE001  # it is raised where the call is awaited
            self._error = error
        with suppress(RuntimeError):  # the event loop has ended
            self._call_soon(self.done.set)

    def outcome(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        error = self._error
        self._error = None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # it holds this frame


def _work(jobs: "queue.SimpleQueue[_Job | None]", idle: threading.Semaphore) -> None:
    while True:
        try:
            job = jobs.get_nowait()
        except queue.Empty:
            idle.release()
            job = jobs.get()
        if job is None:
            return
        job.run()
        del job  # nothing of it is kept while the thread waits for the next


def _end(jobs: "queue.SimpleQueue[_Job | None]", most: int) -> None:
    for _ in range(most):
        jobs.put(None)


class HookThreads:
    """The threads of one hub: of its hooks, and of what looks through all of its sessions."""

    def __init__(self) -> None:
        self.authenticate = Threads("authenticate")
        self.authorize = Threads("authorize")
        self.others = Threads("hooks")
        self.lookups = Threads("lookups", 4)  # hooks that hang do not hold them up

    def close(self) -> None:
        """Close the threads of all kinds."""
        for threads in (self.authenticate, self.authorize, self.others, self.lookups):
            threads.close()
