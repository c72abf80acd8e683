"""Requests to one server: those that come during a round trip go together in the next."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from .. import clock
from ..errors import BrokerError
from .backoff import backoffs
from .health import ConnectionHealth
from .stopping import end_tasks
from .waiting import Alarm

# Requests in one round trip, so that none of them waits for too many others; and requests that may
# wait.
MAX_TOGETHER = 500
_MAX_WAITING = 20_000

# For so long after its beginning an outage is waited for, in seconds. A restart or a failover is
# over by then. Who asks later is told at once.
_PATIENCE = 2.0

# When nothing was asked for so long it is looked whether the server still answers, in seconds.
_IDLE = 5.0

R = TypeVar("R")  # what is sent for a request


class Pipeline(ABC, Generic[R]):
    """The way to one server. Nobody waits for longer than a few seconds.

    A subclass knows how the server is spoken to.

    Args:
        server: as errors call it.
        connection: as the health calls what connects.
        health: what of the server does not work.
        hopeless: the error after which trying again does not help.
    """

    def __init__(
        self,
        server: str,
        connection: str,
        health: ConnectionHealth,
        hopeless: type[BrokerError],
    ) -> None:
        self._server = server
        self._what = connection
        self._health = health
        self._hopeless = hopeless
        self._waiting: deque[tuple[R, asyncio.Future[Any]]] = deque()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._cause: BaseException | None = None
        self._look_at = 0.0
        self._alarm = Alarm(self._work)

    @abstractmethod
    async def _begin(self) -> None:
        """Connect, and have something answered: some servers take connections and do no more."""

    @abstractmethod
    async def _round_trip(self) -> None:
        """Send what waits; if nothing does, see whether the server answers.

        Raises:
            Exception: whatever it is, the connection is lost.
        """

    @abstractmethod
    async def _disconnect(self) -> None:
        """Give the connection up, if there is one, in a bounded time."""

    @abstractmethod
    def _words(self, error: BaseException) -> str:
        """Return what the server said."""

    @property
    def up(self) -> bool:
        """Whether the last attempt to speak to the server succeeded."""
        return self._down_since is None

    async def start(self) -> None:
        """Begin; the server need not be there yet.

        Raises:
            BrokerError: it is there, and can never do what is needed.
        """
        try:
            await self._begin()
        except (self._hopeless, asyncio.CancelledError):
            await self._disconnect()
            raise
        except Exception as error:  # noqa: BLE001  # as in _run
            self._health.began(self._what, error)
            await self._disconnect()
            self._down_since = clock.monotonic()
            self._cause = error
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; whoever still waits is told."""
        if self._task is not None:
            await end_tasks([self._task])
            self._task = None
        self._alarm.stop()
        self._fail_waiting(ConnectionError("the broker was stopped"))
        await self._disconnect()

    def _ask(self, request: R) -> "asyncio.Future[Any]":
        """Have a request sent, and return its answer, to be awaited.

        It is a future, and no coroutine: who asks much at once needs no task for each request.
        Awaited, it raises BrokerError if the request could not be sent, or was not answered. In
        the last case it may have been done.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._task is None:
            answer.set_exception(BrokerError("the broker is not running"))
        elif self._down_since is not None and self._gives_up(self._down_since, self._cause):
            answer.set_exception(self._broker_error(self._cause))
        elif len(self._waiting) >= _MAX_WAITING:
            error = f"{_MAX_WAITING} requests wait for {self._server} already"
            answer.set_exception(BrokerError(error))
        else:
            if not self._waiting:
                self._work.set()
            self._waiting.append((request, answer))
        return answer

    def _gives_up(self, down_since: float, cause: BaseException | None) -> bool:
        """Whether the server is not waited for any more."""
        return isinstance(cause, self._hopeless) or clock.monotonic() > down_since + _PATIENCE

    async def _run(self) -> None:
        if self._down_since is not None:
            await self._reconnect(self._cause or ConnectionError("not connected"))
        while True:
            await self._wait_for_work()
            while self._waiting or clock.monotonic() >= self._look_at:
                try:
                    await self._round_trip()
                # Whatever a library raises: the server is not there.
                except Exception as error:  # noqa: BLE001
                    await self._reconnect(error)

    async def _wait_for_work(self) -> None:
        """Return when something is asked, or when it is time to look whether all is well.

        The alarm may ring too early.
        """
        self._alarm.set_within(self._look_at - clock.monotonic())
        await self._work.wait()
        self._work.clear()

    def _look_later(self) -> None:
        self._look_at = clock.monotonic() + _IDLE

    async def _reconnect(self, cause: BaseException) -> None:
        """Return when the server answers again."""
        if self._down_since is None:
            self._down_since = clock.monotonic()
        for backoff in backoffs():
            self._cause = cause
            self._health.began(self._what, cause)
            await self._disconnect()
            if self._gives_up(self._down_since, cause):
                self._fail_waiting(cause)
            await asyncio.sleep(backoff)
            try:
                await self._begin()
            except Exception as error:  # noqa: BLE001  # as in _run
                cause = error
            else:
                break
        self._down_since = None
        self._health.ended(self._what)

    def _fail_waiting(self, error: BaseException) -> None:
        self._fail(self._waiting, error)
        self._waiting.clear()

    def _fail(self, asked: Iterable[tuple[R, asyncio.Future[Any]]], error: BaseException) -> None:
        for _, answer in asked:
            if not answer.done():
                answer.set_exception(self._broker_error(error))

    def _broker_error(self, cause: BaseException | None, remark: str = "") -> BrokerError:
        """Return what callers are told of an error."""
        if isinstance(cause, BrokerError):
            return BrokerError(str(cause))
        said = "no answer in time"
        if cause is not None and not isinstance(cause, asyncio.CancelledError):
            said = self._words(cause)
        error = BrokerError(f"{self._server}: {said}{remark}")
        error.__cause__ = cause
        return error
