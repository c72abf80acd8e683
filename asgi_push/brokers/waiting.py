"""Waits often, for much at once, and not for ever: without a timer and a task for each time."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any


class _OneTimer(ABC):
    """Rings no later than it has to: one timer serves for many times, and may ring too early."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def _ring_by(self, at: float) -> None:
        if self._timer is None or self._timer.when() > at:
            self.stop()
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    @abstractmethod
    def _ring(self) -> None:
        """Forget the timer, and do what is due."""

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Alarm(_OneTimer):
    """Sets an event when it is time, or earlier."""

    def __init__(self, event: asyncio.Event) -> None:
        super().__init__()
        self._event = event

    def set_within(self, seconds: float) -> None:
        """Set the event so many seconds from now, at the latest."""
        self._ring_by(asyncio.get_running_loop().time() + seconds)

    def _ring(self) -> None:
        self._timer = None
        self._event.set()


class TimeLimit(_OneTimer):
    """Ends what its task does if that takes too long, as ``asyncio.timeout`` does.

    It can be used again and again, by one at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._task: asyncio.Task[Any] | None = None  # who is in it
        self._cancelling = 0
        self._until = 0.0
        self._over = False

    def within(self, seconds: float) -> "TimeLimit":
        """Return this limit, to be entered, with so many seconds from now."""
        self._until = asyncio.get_running_loop().time() + seconds
        return self

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be given a time limit")
        self._task = task
        self._cancelling = task.cancelling()
        self._over = False
        self._ring_by(self._until)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task = self._task
        self._task = None
        if self._over and task is not None:
            alone = task.uncancel() <= self._cancelling  # nobody else has cancelled it
            if alone and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if asyncio.get_running_loop().time() < self._until:
            self._ring_by(self._until)
        else:
            self._over = True
            self._task.cancel()


class Patience:
    """Makes futures that fail if they are not done in time; one timer serves all.

    Args:
        error: makes what they fail by.
    """

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        # The futures that may not be done, each with the time of the loop at which it fails.
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def future(self, seconds: float) -> "asyncio.Future[None]":
        """Return a future that fails so many seconds from now; the seconds are always the same."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiting = self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((loop.time() + seconds, future))
        if self._timer is None:
            self._timer = loop.call_at(waiting[0][0], self._give_up)
        return future

    def _give_up(self) -> None:
        """Fail those that are late, and look again when the next one is."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= loop.time()):
            _, future = waiting.popleft()
            if not future.done():
                future.set_exception(self._error())
        self._timer = loop.call_at(waiting[0][0], self._give_up) if waiting else None

    def stop(self) -> None:
        """Keep no timer that nobody needs."""
        if self._timer is not None:
            self._timer.cancel()
            self._give_up()


async def all_done(calls: Iterable[Awaitable[Any]]) -> None:
    """Return when all calls are done; raise why the first of them failed that did.

    ``asyncio.gather`` with ``return_exceptions`` does the same, and has much to do for each call.
    Here those cost next to nothing that are done at the same time, as are the answers of one round
    trip.
    """
    waiting = [
        call if isinstance(call, asyncio.Future) else asyncio.ensure_future(call) for call in calls
    ]
    try:
        for call in waiting:
            if not call.done():
                with suppress(Exception):  # it is looked at when all are done
                    await call
    except asyncio.CancelledError:
        for call in waiting:
            call.add_done_callback(_look_at)
            call.cancel()
        raise
    for failure in [call.exception() for call in waiting]:
        if failure is not None:
            raise failure


def _look_at(call: "asyncio.Future[Any]") -> None:
    """Look at an exception that nobody waits for any more: asyncio would log it."""
    if not call.cancelled():
        call.exception()
