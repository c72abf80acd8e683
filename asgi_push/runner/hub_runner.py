"""The event loop that a hub lives on, and the way there from other threads and other loops."""

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
from ..hub.drain import drain
from ..hub.hub import Hub
from ..logs import begin_anew
from ..registry import Registry
from ..runtime import fork
from ..runtime.signals import Sigint, Sigterm
from ..subscription import Subscription
from .hub_run import Life

T = TypeVar("T")

_NO_THREAD = -1  # no thread has this identifier


class HubRunner:
    """Makes a hub on the event loop that starts it, a new one each time, and knows where it lives."""

    def __init__(self, make: Callable[[], Hub]) -> None:
        self._make = make
        fork.register(self)
        self._lock = threading.Lock()
        self._life: Life | None = None
        self._starts = 0
        self._thread = _NO_THREAD
        self._sigterm: Sigterm | None = None
        self._sigint: Sigint | None = None

    @property
    def running(self) -> bool:
        """Whether there is a hub whose event loop still runs."""
        return self._life is not None and self._life.running

    @property
    def hub(self) -> Hub:
        """The hub; NotRunningError if there is none, or if it lives on another thread's event loop."""
        self.require_running()
        hub = self.hub_here()
        if hub is None:
            raise NotRunningError("Push is running on another thread's event loop")
        return hub

    @property
    def registry(self) -> Registry[Connection, Subscription] | None:
        """The sessions, which may be looked at from any thread; None where there is no hub."""
        life = self._life
        return None if life is None else life.hub.registry

    def hub_here(self) -> Hub | None:
        """Return the hub if it runs on the event loop of this thread, else None."""
        life = self._life
        if life is None or self._thread != threading.get_ident():
            return None
        return life.hub if life.running else None

    def require_running(self) -> None:
        """Raise NotRunningError if there is no hub."""
        if not self.running:
            raise NotRunningError("Push is not running: wrap an application with PushMiddleware, or use (async) with")

    async def start(self) -> None:
        """Make a hub on the event loop that runs now; where there is one, only count.

        One that is cancelled is undone. Several that wait for the same hub get it, whoever of them gives up.
        """
        while True:
            with self._lock:
                life = self._life
                if life is None or not life.alive:
                    life = self._begin()
                if not life.stopping:
                    self._starts += 1
                    break
            await life.ended()
        try:
            await life.begun()
        except anyio.get_cancelled_exc_class():
            await self.stop()
            raise

    def _begin(self) -> Life:
        self._release_signals()
        begin_anew()
        life = self._life = Life(self._make(), self._gone)
        self._thread, self._starts = life.thread, 0  # those of an event loop that ended without a stop are owed nothing
        return life

    async def stop(self) -> None:
        """Undo one start; with the last of them the hub stops, in a bounded time, which a cancellation does not cut."""
        with self._lock:
            self._starts -= 1
            life = self._life
            if self._starts > 0 or life is None or life.stopping:
                return
            life.stopping = True
        self._release_signals()
        with anyio.CancelScope(shield=True):
            if life.thread == threading.get_ident():
                life.end()
            elif life.alive:
                await anyio.to_thread.run_sync(partial(anyio.from_thread.run_sync, life.end, token=life.token))
            await life.ended()

    def _gone(self, life: Life) -> None:
        """Nothing is left of a life: there is no hub, unless there is another one by now."""
        with self._lock:
            if self._life is life:
                self._life, self._thread, self._starts = None, _NO_THREAD, 0

    def forget(self) -> None:
        """Be as new in a process that was forked from the one in which there is a hub."""
        self._lock = threading.Lock()
        if self._life is not None:
            fork.keep_alive(self._life)
            self._life, self._thread, self._starts = None, _NO_THREAD, 0
        if self._sigint is not None:
            self._sigint.release()
            self._sigint = None
        if self._sigterm is not None:
            self._sigterm.forget()
            fork.keep_alive(self._sigterm)
            self._sigterm = None

    def drain_at_sigterm(self, over: float) -> None:
        """Have the sessions sent away at a SIGTERM before the server gets it; once is enough, and more is no error."""
        hub = self.hub_here()
        if self._sigterm is None and hub is not None and Sigterm.possible():
            self._sigterm = Sigterm()
            hub.spawn(_drain_first, hub, self._sigterm, over)

    def end_streams_at_sigint(self) -> None:
        """Have event streams end at a SIGINT; once is enough, and more is no error."""
        hub = self.hub_here()
        if self._sigint is None and hub is not None and Sigint.possible():
            self._sigint = Sigint()
            hub.spawn(_end_streams, hub, self._sigint)

    def _release_signals(self) -> None:
        if self._sigint is not None:
            self._sigint.release()
            self._sigint = None
        if self._sigterm is not None:
            self._sigterm.release()
            self._sigterm = None

    def run_from_thread(self, verb: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """Run a verb on the hub's event loop from another thread, and wait for it."""
        life = self._life
        self.require_running()
        if life is None or self._thread == threading.get_ident():
            raise NotRunningError("push.blocking would block the event loop: await the verb of push itself")
        try:
            return anyio.from_thread.run(partial(verb, *args, **kwargs), token=life.token)
        except (Cancelled, asyncio.CancelledError, RuntimeError) as error:
            if life.running:
                raise
            raise NotRunningError("Push has stopped meanwhile") from error

    async def call(self, verb: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """Run a verb on the hub's event loop, which under a test client may not be the one of the caller."""
        if self._thread in (_NO_THREAD, threading.get_ident()):
            return await verb(*args, **kwargs)
        return await anyio.to_thread.run_sync(partial(self.run_from_thread, verb, *args, **kwargs))


async def _end_streams(hub: Hub, sigint: Sigint) -> None:
    await sigint.came.wait()
    hub.end_streams()


async def _drain_first(hub: Hub, sigterm: Sigterm, over: float) -> None:
    await sigterm.came.wait()
    try:
        await drain(hub, over)
    finally:
        sigterm.hand_on()
