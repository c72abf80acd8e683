"""One run of a hub, from its start to its end.

It is a task of its own. A caller that is cancelled while it waits for the start or for the end
does not cancel the hub.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import anyio
from anyio.lowlevel import current_token

from ..brokers import Receiver
from ..errors import NotRunningError
from ..hub.hub import Hub
from ..runtime.event_loop import current_task, ends_task, on_trio
from ..runtime.tasks import run_detached
from .control import apply_control, evict

# How often a waiter on another event loop looks whether something has happened, in seconds.
_POLL = 0.005


class HubRun:
    """A hub in a task on the event loop that runs now.

    ``forget`` is called with this run when it has ended.
    """

    def __init__(self, hub: Hub, forget: Callable[["HubRun"], None]) -> None:
        self.hub = hub
        self.thread = threading.get_ident()
        self.token = current_token()
        self.stopping = False
        self.error: Exception | None = None  # why it did not start
        self._forget = forget
        self._over = False
        self._loop = None if on_trio() else asyncio.get_running_loop()
        self._starting = anyio.CancelScope()
        self._begun = anyio.Event()
        # Read for each publication, where asking the event would be two calls.
        self.has_begun = False
        self._stop_asked = anyio.Event()
        self._ended = anyio.Event()
        self._task = run_detached(self._run)

    @property
    def alive(self) -> bool:
        """Whether it has not ended and its event loop still runs."""
        return not self._over and (self._loop is None or self._loop.is_running())

    @property
    def left(self) -> bool:
        """Whether its event loop does not run, and it was not stopped before."""
        return not self._over and not self.alive

    @property
    def running(self) -> bool:
        """Whether it has begun and its hub runs."""
        return self.has_begun and self.hub.tasks.running

    async def _run(self) -> None:
        try:
            if await self._begin():
                self.has_begun = True
                self._begun.set()
                await self._stop_asked.wait()
            self.stopping = True
            await self._stop()
            self._forget(self)
        finally:
            self._over = True
            self._begun.set()
            self._ended.set()

    async def _begin(self) -> bool:
        hub = self.hub
        with self._starting:
            try:
                hub.presence.start(hub.registry, hub.membership.watched, partial(evict, hub))
                await hub.broker.start(
                    Receiver(
                        hub.publisher.deliver,
                        partial(apply_control, hub),
                        hub.publisher.lost,
                        hub.fanout.pending.wait_capacity,
                        hub.process_messages.receive,
                    )
                )
                await hub.start()
            except Exception as error:  # noqa: BLE001  # begun() raises it
                self.error = error
                return False
            return True
        self.error = NotRunningError("Push was stopped before it had started")
        return False

    async def _stop(self) -> None:
        """Stop all parts, also if one of them fails; the hub first, as its hooks may publish."""
        hub = self.hub
        here = current_task()
        for name, stop in (
            ("hub", hub.stop),
            ("presence", hub.presence.stop),
            ("broker", hub.broker.stop),
        ):
            try:
                await stop()
            except BaseException as error:
                if ends_task(error, here):
                    raise
                hub.failures.report("task", error, f"the stop of the {name}")

    async def begun(self) -> None:
        """Wait until the hub has started; raise its error if it could not start."""
        await self._wait(self._begun)
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Ask for the end, also of a hub that has not started yet. Call this on its event loop."""
        self.stopping = True
        self._starting.cancel()
        self._stop_asked.set()

    async def ended(self) -> None:
        """Wait until the hub, presence and the broker have stopped."""
        await self._wait(self._ended)

    async def _wait(self, event: anyio.Event) -> None:
        if self.token == current_token():
            await event.wait()
            return
        # The event belongs to another event loop.
        while self.alive and not event.is_set():  # noqa: ASYNC110
            await anyio.sleep(_POLL)
