"""An object that is started and stopped: counted, on the event loop here or on one in a thread."""

from types import TracebackType
from typing import Self

from .hub_runner import HubRunner
from .loop_thread import LoopThread


class Startable:
    """Starts and stops with ``async with``, with ``with``, or by ``start`` and ``stop``."""

    def __init__(self, runner: HubRunner, thread: LoopThread) -> None:
        self._runner = runner
        self._thread = thread

    # Litestar makes a deep copy of what it finds in a state; there must be one Push and not two.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    def running(self) -> bool:
        """Whether it has been started and its event loop still runs."""
        return self._runner.running

    async def start(self) -> None:
        """Start on the event loop that runs now.

        Call ``stop`` once for each start. If it runs already, the start is only counted.
        """
        await self._runner.start()

    async def stop(self) -> None:
        """Undo one start. The last stop closes all sessions (1012), in a bounded time."""
        await self._runner.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.stop()
