"""Starts and stops the hub, and runs calls on its event loop for other threads and other loops."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError as Cancelled
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from ..connection import Connection
from ..errors import NotRunningError
from ..hub.hub import Hub
from ..logs import begin_anew
from ..registry import Registry
from ..runtime import fork
from ..subscription import Subscription
from .hub_run import HubRun
from .signals import HubSignals

T = TypeVar("T")

_NO_THREAD = -1  # no thread has this identifier


class HubRunner:
    """Runs one hub at a time, on the event loop of the first caller of ``start``.

    Each start is counted. The hub stops with the last ``stop``; the next start makes a new one.
    """

    def __init__(self, make: Callable[[], Hub]) -> None:
        self._make = make
        fork.register(self)
        self._lock = threading.Lock()
        self._run: HubRun | None = None
        self._starts = 0
        self._thread = _NO_THREAD
        self._signals = HubSignals()

    @property
    def running(self) -> bool:
        """Whether there is a hub and its event loop still runs."""
        return self._run is not None and self._run.running

    @property
    def hub(self) -> Hub:
        """The hub that runs on the event loop of this thread.

        Raises:
            NotRunningError: there is no hub, or it runs on another thread's event loop.
        """
        hub = self.hub_here()
        if hub is None:
            self.require_running()
            raise NotRunningError(
                "Push runs on the event loop of another thread, and serves one loop at a time. "
                "In a test: enter TestClient with `with`, so that all of it shares one loop; if "
                "the test itself has one, use asgi_push.testing.serve, whose clients live on that"
            )
        return hub

    @property
    def registry(self) -> Registry[Connection, Subscription] | None:
        """The sessions, which any thread may look at; None where there is no hub."""
        run = self._run
        return None if run is None else run.hub.registry

    def hub_here(self) -> Hub | None:
        """Return the hub if it runs on the event loop of this thread, else None."""
        run = self._run
        if run is None or self._thread != threading.get_ident():
            return None
        # Not ``run.running``, which is two calls more: this is asked for every message.
        return run.hub if run.has_begun and run.hub.tasks.running else None

    def require_running(self) -> None:
        """Raise NotRunningError if there is no hub."""
        if self.running:
            return
        run = self._run
        if run is not None and run.has_begun and run.left:
            raise NotRunningError(
                "Push was started on another event loop, which does not run now, and serves one "
                "loop at a time. In a test, start it on the test's own: with pytest-asyncio, give "
                "the fixture that starts the application the loop_scope of the test"
            )
        raise NotRunningError(
            "Push is not running: wrap an application with PushMiddleware, or use (async) with. "
            "A test client runs the application only inside of its with block"
        )

    async def start(self) -> None:
        """Start a hub on the event loop that runs now. If there is one already, only count.

        A start that is cancelled is undone. If several callers wait for the same hub to start and
        one gives up, the others still get it.
        """
        while True:
            with self._lock:
                run = self._run
                if run is None or not run.alive:
                    run = self._begin()
                if not run.stopping:
                    self._starts += 1
                    break
            await run.ended()
        try:
            await run.begun()
        except anyio.get_cancelled_exc_class():
            await self.stop()
            raise

    def _begin(self) -> HubRun:
        self._signals.release()
        begin_anew()
        run = HubRun(self._make(), self._gone)
        self._run = run
        self._thread = run.thread
        self._starts = 0  # the starts on an event loop that ended without a stop do not count
        return run

    async def stop(self) -> None:
        """Undo one start; the last stop ends the hub, in a bounded time.

        A cancellation does not cut that time short.
        """
        with self._lock:
            self._starts -= 1
            run = self._run
            if self._starts > 0 or run is None or run.stopping:
                return
            run.stopping = True
        self._signals.release()
        with anyio.CancelScope(shield=True):
            if run.thread == threading.get_ident():
                run.end()
            elif run.alive:
                await anyio.to_thread.run_sync(
                    partial(anyio.from_thread.run_sync, run.end, token=run.token)
                )
            await run.ended()

    def _gone(self, run: HubRun) -> None:
        """Forget a run that has ended, unless the next one has begun."""
        with self._lock:
            if self._run is run:
                self._reset()

    def _reset(self) -> None:
        self._run = None
        self._thread = _NO_THREAD
        self._starts = 0

    def forget(self) -> None:
        """Forget the hub in a forked process: it runs in the process that was forked."""
        self._lock = threading.Lock()
        if self._run is not None:
            fork.keep_alive(self._run)
            self._reset()
        self._signals.forget()

    def drain_at_sigterm(self, over: float) -> None:
        """Drain at a SIGTERM before the server gets it. Calling this twice is no error."""
        hub = self.hub_here()
        if hub is not None:
            self._signals.drain_at_sigterm(hub, over)

    def end_streams_at_sigint(self) -> None:
        """End event streams at a SIGINT, as uvicorn would wait for them.

        Calling this twice is no error.
        """
        hub = self.hub_here()
        if hub is not None:
            self._signals.end_streams_at_sigint(hub)

    def run_from_thread(
        self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
    ) -> T:
        """Run an async function on the hub's event loop, from another thread; return its result.

        Raises:
            NotRunningError: there is no hub, it stops meanwhile, or this is the thread of its loop.
        """
        run = self._run
        self.require_running()
        if run is None or self._thread == threading.get_ident():
            raise NotRunningError(
                "push.blocking would block the event loop: await the verb of push itself"
            )
        try:
            return anyio.from_thread.run(partial(function, *args, **kwargs), token=run.token)
        except (Cancelled, asyncio.CancelledError, RuntimeError) as error:
            if run.running:
                raise
            raise NotRunningError("Push has stopped meanwhile") from error

    async def call(
        self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
    ) -> T:
        """Run an async function on the hub's event loop and return its result.

        Under a test client the caller's event loop may be another one.
        """
        if self._thread in (_NO_THREAD, threading.get_ident()):
            return await function(*args, **kwargs)
        return await anyio.to_thread.run_sync(
            partial(self.run_from_thread, function, *args, **kwargs)
        )
