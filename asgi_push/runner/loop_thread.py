"""An event loop in a thread of its own, for a process without one: a script, a job worker."""

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

Stop = partial[None]  # stops the event loop in its thread


class LoopThread:
    """Runs a hub in a thread of its own, as long as there are more starts than stops.

    If the hub runs on another event loop already, it stays there.
    """

    def __init__(self, runner: HubRunner) -> None:
        self._runner = runner
        self.forget()
        fork.register(self)

    def forget(self) -> None:
        """Begin without a thread, also in a forked process: threads do not come along."""
        self._lock = threading.Lock()
        self._starts = 0
        self._thread: threading.Thread | None = None
        self._stop: Stop | None = None

    def start(self) -> None:
        """Start the hub; return when it runs.

        Raises:
            NotRunningError: an event loop runs in this thread.
            Exception: whatever the start of the hub raises.
        """
        if in_event_loop():
            raise NotRunningError("this would block the event loop of this thread: use async with")
        with self._lock:
            if not self._starts and not self._runner.running:
                started: Future[Stop] = Future()
                # A daemon thread, so that a process which forgets to stop it can end. Nothing is
                # lost by that: every verb of ``Blocking`` returns when its work is done.
                self._thread = threading.Thread(
                    target=self._run, args=[started], name="asgi_push", daemon=True
                )
                self._thread.start()
                self._stop = started.result()
            self._starts += 1

    def stop(self) -> None:
        """Undo one start; the last stop ends the hub, in a bounded time.

        More stops than starts are no error.
        """
        with self._lock:
            self._starts = max(0, self._starts - 1)
            if self._starts or self._thread is None or self._stop is None:
                return
            self._stop()
            self._thread.join()
            self._thread = None
            self._stop = None

    def _run(self, started: "Future[Stop]") -> None:
        try:
            anyio.run(self._main, started)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _main(self, started: "Future[Stop]") -> None:
        stopped = anyio.Event()
        await self._runner.start()
        if self._runner.hub.settings.broker.startswith("memory:"):
            logger.warning(
                "a process without sessions pushes through the broker memory://, "
                "which reaches no other: set ASGI_PUSH_BROKER to the broker that the "
                "application uses, such as local:// or redis://host:6379"
            )
        started.set_result(partial(anyio.from_thread.run_sync, stopped.set, token=current_token()))
        await stopped.wait()
        await self._runner.stop()
