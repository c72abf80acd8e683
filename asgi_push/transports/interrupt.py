"""Ends one task's wait from outside, at almost no memory: every session waits for its peer in one of these."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

import anyio

from ..runtime.event_loop import on_trio


class Interrupt(Protocol):
    """A context whose body another task can end; the body then ends quietly where it waits."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None: ...

    def cancel(self) -> None:
        """End the body."""
        ...


class _AsyncioInterrupt:
    """What ``asyncio.timeout`` does with a task, without the timer.

    anyio's CancelScope does the same for 1.6 kB a session; this takes 72 bytes.
    """

    __slots__ = ("_fired", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._fired = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        return self

    def cancel(self) -> None:
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        task, self._task = self._task, None
        if not self._fired or task is None:
            return None
        # If somebody else cancels the task as well, that must go on.
        return task.uncancel() == 0 and exc_type is not None and issubclass(exc_type, asyncio.CancelledError)


def make_interrupt() -> Interrupt:
    """Return the interrupt for the event loop that runs now."""
    return anyio.CancelScope() if on_trio() else _AsyncioInterrupt()
