"""The event loop that a hub lives on, and the way there from other threads and other loops."""

import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import EventLoopToken, current_token

from ..brokers import Receiver
from ..errors import NotRunningError
from ..registry import Registry
from ..session import Session, Subscription
from .commands import evict, obey
from .drain import drain
from .forks import leave_alone, when_forked
from .hub import Hub
from .sigint import Sigint
from .sigterm import Sigterm

T = TypeVar("T")

_NO_THREAD = -1  # no thread has this identifier


class Home:
    """Makes a hub on the event loop that starts it, a new one each time, and knows where it lives."""

    def __init__(self, make: Callable[[], Hub]) -> None:
        self._make = make
        when_forked(self)
        self._hub: Hub | None = None
        self._starts = 0
        self._thread = _NO_THREAD
        self._token: EventLoopToken | None = None
        self._started = anyio.Event()
        self._stopped: anyio.Event | None = None  # while it stops
        self._sigterm: Sigterm | None = None
        self._sigint: Sigint | None = None

    @property
    def running(self) -> bool:
        """Whether there is a hub whose event loop still runs."""
        return self._hub is not None and self._hub.running

    @property
    def hub(self) -> Hub:
        """The hub; NotRunningError if there is none, or if it lives on another thread's event loop."""
        self.require_running()
        hub = self.hub_here()
        if hub is None:
            raise NotRunningError("Push is running on another thread's event loop")
        return hub

    @property
    def registry(self) -> Registry[Session, Subscription] | None:
        """The sessions, which may be looked at from any thread; None where there is no hub."""
        return None if self._hub is None else self._hub.registry

    def hub_here(self) -> Hub | None:
        """Return the hub if it runs on the event loop of this thread, else None."""
        hub = self._hub
        return hub if hub is not None and self._thread == threading.get_ident() and hub.running else None

    def require_running(self) -> None:
        """Raise NotRunningError if there is no hub."""
        if not self.running:
            raise NotRunningError("Push is not running: wrap an application with PushMiddleware, or use (async) with")

    async def start(self) -> None:
        """Make a hub on the event loop that runs now; where there is one, only count."""
        here = self._token == current_token()  # and not one that this thread ran before, which may have been cut off
        if self._stopped is not None and here:
            await self._stopped.wait()
        self._starts += 1
        if self.running:
            return
        if here and not self._started.is_set():
            await self._started.wait()  # somebody else is at it on this loop
            self.require_running()
            return
        self._starts, self._stopped = 1, None  # those of an event loop that ended without a stop are owed nothing
        self._release_signals()
        self._thread, self._token, self._started = threading.get_ident(), current_token(), anyio.Event()
        hub = self._hub = self._make()
        hub.presence.start(hub.registry, hub.watched, partial(evict, hub))
        try:
            await hub.broker.start(Receiver(hub.deliver, partial(obey, hub), hub.lost, hub.fanout.room))
            await hub.start()
        except Exception:
            self._starts = 1
            await self.stop()
            raise
        finally:
            self._started.set()

    async def stop(self) -> None:
        """Undo one start; with the last of them the hub stops, in a bounded time."""
        self._starts -= 1
        if self._starts > 0 or self._hub is None or self._stopped is not None:
            return
        stopped = self._stopped = anyio.Event()
        hub = self._hub
        self._release_signals()
        try:
            await hub.stop()  # until it returns hooks may publish, and who connects is sent away
            await hub.presence.stop()
            await hub.broker.stop()
        finally:
            if self._hub is hub:  # and no other, if this event loop was cut off meanwhile
                self._hub, self._thread, self._starts, self._stopped = None, _NO_THREAD, 0, None
            stopped.set()

    def forget(self) -> None:
        """Be as new in a process that was forked from the one in which there is a hub."""
        if self._hub is not None:
            leave_alone(self._hub)
            self._hub, self._thread, self._starts, self._stopped = None, _NO_THREAD, 0, None
        if self._sigint is not None:
            self._sigint.release()
            self._sigint = None
        if self._sigterm is not None:
            self._sigterm.forget()
            leave_alone(self._sigterm)
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
        self.require_running()
        if self._thread == threading.get_ident():
            raise NotRunningError("push.blocking would block the event loop: await the verb of push itself")
        return anyio.from_thread.run(partial(verb, *args, **kwargs), token=self._token)

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
