"""One life of a hub, from its start to its end, in a task that nobody can cancel who only waits for either."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import anyio
from anyio.lowlevel import current_token

from ..brokers import Receiver
from ..errors import NotRunningError
from ..hub.control import apply_control, evict
from ..hub.hub import Hub
from ..runtime.event_loop import current_task, ends_task, on_trio
from ..runtime.tasks import run_detached

# How often another thread looks whether what it waits for has happened, in seconds.
_LOOK = 0.005


class Life:
    """A hub on the event loop that runs now; ``forget`` is called when nothing is left of it."""

    def __init__(self, hub: Hub, forget: Callable[["Life"], None]) -> None:
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
        self._has_begun = False  # looked at for each publication, where an event is two calls
        self._asked = anyio.Event()
        self._ended = anyio.Event()
        self._task = run_detached(self._live)

    @property
    def alive(self) -> bool:
        """Whether it goes on: it has not ended, nor has its event loop without it."""
        return not self._over and (self._loop is None or self._loop.is_running())

    @property
    def running(self) -> bool:
        """Whether it has begun, and its hub runs."""
        return self._has_begun and self.hub.running

    async def _live(self) -> None:
        try:
            if await self._begin():
                self._has_begun = True
                self._begun.set()
                await self._asked.wait()
            self.stopping = True
            await self._end()
            self._forget(self)
        finally:
            self._over = True
            self._begun.set()
            self._ended.set()

    async def _begin(self) -> bool:
        hub = self.hub
        with self._starting:
            try:
                hub.presence.start(hub.registry, hub.watched, partial(evict, hub))
                await hub.broker.start(
                    Receiver(hub.deliver, partial(apply_control, hub), hub.lost, hub.fanout.wait_capacity)
                )
                await hub.start()
            except Exception as error:  # noqa: BLE001  # it is for those who wait for the start
                self.error = error
                return False
            return True
        self.error = NotRunningError("Push was stopped before it had started")
        return False

    async def _end(self) -> None:
        """Stop all parts, each whatever becomes of the others: until the hub has stopped, hooks may publish."""
        hub, here = self.hub, current_task()
        for name, stop in (("hub", hub.stop), ("presence", hub.presence.stop), ("broker", hub.broker.stop)):
            try:
                await stop()
            except BaseException as error:
                if ends_task(error, here):
                    raise
                hub.failures.report("task", error, f"the stop of the {name}")

    async def begun(self) -> None:
        """Wait until it has begun; raise why it could not."""
        await self._wait(self._begun)
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Have it end, also if it has not begun; to be called on its event loop."""
        self.stopping = True
        self._starting.cancel()
        self._asked.set()

    async def ended(self) -> None:
        """Wait until nothing is left of it."""
        await self._wait(self._ended)

    async def _wait(self, event: anyio.Event) -> None:
        if self.token == current_token():
            await event.wait()
            return
        while self.alive and not event.is_set():  # noqa: ASYNC110  # it is an event of another event loop
            await anyio.sleep(_LOOK)
