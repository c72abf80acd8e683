"""An event loop in a thread of its own, for a process that has none: a script, a worker that takes jobs."""

import threading
from concurrent.futures import Future
from functools import partial

import anyio
import anyio.from_thread
from anyio.lowlevel import current_token

from ..errors import NotRunningError
from ..logs import logger
from ..runtime import fork
from ..runtime.event_loop import in_event_loop
from .hub_runner import HubRunner

Stop = partial[None]


class LoopThread:
    """Runs a hub in a thread, as long as there are more starts than stops; one that runs elsewhere is left there."""

    def __init__(self, home: HubRunner) -> None:
        self._home = home
        self.forget()
        fork.register(self)

    def forget(self) -> None:
        """There is no thread; those of another process are not in this one."""
        self._lock = threading.Lock()
        self._starts = 0
        self._thread: threading.Thread | None = None
        self._stop: Stop | None = None

    def start(self) -> None:
        """Return when the hub runs; raise what its start raises."""
        if in_event_loop():
            raise NotRunningError("this would block the event loop of this thread: use async with")
        with self._lock:
            if not self._starts and not self._home.running:
                started: Future[Stop] = Future()
                # A daemon, so that a process which forgets to stop it can end: nothing waits in it, as every verb of
                # ``Blocking`` returns when its work is done.
                self._thread = threading.Thread(target=self._run, args=[started], name="asgi_push", daemon=True)
                self._thread.start()
                self._stop = started.result()
            self._starts += 1

    def stop(self) -> None:
        """Undo one start; with the last the hub stops, in a bounded time. More stops than starts are no error."""
        with self._lock:
            self._starts = max(0, self._starts - 1)
            if self._starts or self._thread is None or self._stop is None:
                return
            self._stop()
            self._thread.join()
            self._thread = self._stop = None

    def _run(self, started: "Future[Stop]") -> None:
        try:
            anyio.run(self._main, started)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _main(self, started: "Future[Stop]") -> None:
        stopped = anyio.Event()
        await self._home.start()
        if self._home.hub.settings.broker.startswith("memory:"):
            logger.warning(
                "a process without sessions pushes through the broker memory://, which reaches no other: set "
                "ASGI_PUSH_BROKER to the Redis that the application uses"
            )
        started.set_result(partial(anyio.from_thread.run_sync, stopped.set, token=current_token()))
        await stopped.wait()
        await self._home.stop()
