"""Calls to PostgreSQL. Those that come while a statement is under way go together in the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from ... import clock
from ...errors import BrokerError
from ..backoff import backoffs
from ..health import ConnectionHealth
from .connection import Connection, ConnectionFactory, hang_up
from .functions import Function, Rows
from .health import reason, words

# What a statement may take, in seconds: a transaction that commits much holds the places of its
# channels for that long.
_ROUND_TRIP = 5.0

# Calls in one statement, and about how many bytes, so that none of them waits for too many others;
# and calls that may wait.
_MAX_TOGETHER = 500
_MAX_BYTES = 4 * 1024 * 1024
_MAX_WAITING = 20_000

# For so long after its beginning an outage is waited for, in seconds: a restart is over by then,
# and who asks later is told at once.
_PATIENCE = 2.0

# When nothing was asked for so long it is looked whether the server still answers, in seconds.
_IDLE = 5.0

# How often a statement is tried that met another on its way (a deadlock, a serialization failure).
_TRIES = 5
_MET_ANOTHER = ("40001", "40P01")

T = TypeVar("T")

# What is wrong with the server, and not with the call.
_REFUSALS = ("noperm", "oom")

Call = tuple[Function, tuple[Any, ...], "asyncio.Future[Rows]"]


class Pipeline:
    """One connection, on which one statement is under way. Nobody waits longer than a few seconds.

    ``prepare`` is called with each new connection, before anything else is.
    """

    def __init__(
        self,
        what: str,
        factory: ConnectionFactory,
        health: ConnectionHealth,
        prepare: Callable[[Connection], Awaitable[None]],
    ) -> None:
        self._what = what
        self._factory = factory
        self._health = health
        self._prepare = prepare
        self._connection: Connection | None = None
        self._waiting: deque[Call] = deque()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._cause: BaseException | None = None

    async def start(self) -> None:
        """Begin; the server need not be there yet.

        Raises:
            BrokerError: it is there, and can never do what is needed.
        """
        try:
            await self._connect()
        except (BrokerError, asyncio.CancelledError):
            self._disconnect()
            raise
        except Exception as error:  # noqa: BLE001  # as in _run
            self._health.began(self._what, error)
            self._disconnect()
            self._down_since = clock.monotonic()
            self._cause = error
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; whoever still waits is told."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._fail(self._waiting, ConnectionError("the broker was stopped"))
        self._waiting.clear()
        self._disconnect()

    async def call(self, function: Function, *arguments: Any) -> Rows:
        """Call a function of the schema and return its rows.

        Raises:
            BrokerError: it could not be called, or was answered with an error or not at all; in
                the last case it may have been done.
        """
        if self._task is None:
            raise BrokerError("the broker is not running")
        if self._down_since is not None and clock.monotonic() > self._down_since + _PATIENCE:
            raise broker_error(self._cause)
        if len(self._waiting) >= _MAX_WAITING:
            raise BrokerError(f"{_MAX_WAITING} calls wait for PostgreSQL already")
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._waiting.append((function, arguments, answer))
        self._work.set()
        return await answer

    async def _run(self) -> None:
        if self._down_since is not None:
            await self._reconnect(self._cause or ConnectionError("not connected"))
        while True:
            await self._wait_for_work()
            try:
                if not self._waiting:
                    await self._look()
                while self._waiting:
                    await self._statement()
            except Exception as error:  # noqa: BLE001  # whatever it is, the connection is lost
                await self._reconnect(error)
                self._work.set()

    async def _wait_for_work(self) -> None:
        """Return when something is asked, or when it is time to look whether all is well."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_IDLE):
                await self._work.wait()
        self._work.clear()

    async def _look(self) -> None:
        connection = await self._connect()
        await in_time(connection, connection.execute("SELECT 1"), _ROUND_TRIP)

    async def _statement(self) -> None:
        connection = await self._connect()
        calls = self._next()
        function = calls[0][0]
        try:
            rows = await self._execute(connection, function, [call[1] for call in calls])
        except BaseException as error:
            self._fail(calls, error)  # it may have been done, so it is not sent again
            if connection.closed or not isinstance(error, psycopg.Error) or _elsewhere(error):
                raise
            if reason(error) in _REFUSALS:
                self._health.began(function.name, error)
            return
        self._health.ended(function.name)
        for (_, _, future), answer in zip(calls, function.answers(len(calls), rows), strict=True):
            if not future.done():
                future.set_result(answer)

    def _next(self) -> list[Call]:
        """Return the calls that go in the next statement: of one function, in their order."""
        calls = [self._waiting.popleft()]
        function, arguments, _ = calls[0]
        most = 1 if function.together == "alone" else _MAX_TOGETHER
        size = _size(arguments)
        while (
            self._waiting
            and self._waiting[0][0] is function
            and len(calls) < most
            and size < _MAX_BYTES
        ):
            size += _size(self._waiting[0][1])
            calls.append(self._waiting.popleft())
        if function.together == "each":
            calls.sort(key=lambda call: str(call[1][0]))  # all who lock do so in one order
        return calls

    async def _execute(
        self, connection: Connection, function: Function, calls: list[tuple[Any, ...]]
    ) -> Rows:
        attempt = 1
        while True:
            try:
                return await in_time(connection, _rows(connection, function, calls), _ROUND_TRIP)
            except psycopg.Error as error:
                if error.sqlstate not in _MET_ANOTHER or attempt == _TRIES:
                    raise
            attempt += 1

    async def _reconnect(self, cause: BaseException) -> None:
        """Return when the server answers again."""
        if self._down_since is None:
            self._down_since = clock.monotonic()
        for backoff in backoffs():
            self._cause = cause
            self._health.began(self._what, cause)
            self._disconnect()
            if clock.monotonic() > self._down_since + _PATIENCE:
                self._fail(self._waiting, cause)
                self._waiting.clear()
            await asyncio.sleep(backoff)
            try:
                await self._connect()
            except Exception as error:  # noqa: BLE001  # as in _run
                cause = error
            else:
                break
        self._down_since = None
        self._health.ended(self._what)

    async def _connect(self) -> Connection:
        if self._connection is None:
            connection = await self._factory.connect()
            try:
                await in_time(connection, self._prepare(connection), _ROUND_TRIP)
            except BaseException:
                hang_up(connection)
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            hang_up(connection)
            connection.pgconn.finish()

    def _fail(self, calls: Iterable[Call], error: BaseException) -> None:
        for _, _, future in calls:
            if not future.done():
                future.set_exception(broker_error(error))


def _size(arguments: tuple[Any, ...]) -> int:
    return sum(len(argument) for argument in arguments if isinstance(argument, bytes))


def _elsewhere(error: psycopg.Error) -> bool:
    """Whether another server may take what this one does not: it is a standby by now."""
    return reason(error) == "readonly"


async def _rows(connection: Connection, function: Function, calls: list[tuple[Any, ...]]) -> Rows:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(*function.statement(calls))
        return await cursor.fetchall()


async def in_time(connection: Connection, work: Awaitable[T], seconds: float) -> T:
    """Return what some work on a connection gives; TimeoutError, and the end of it, if it is late.

    A cancellation alone would wait for a server that does not answer.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
        if done:
            return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            hang_up(connection)
            await asyncio.wait([task])
            task.exception()


def broker_error(cause: BaseException | None) -> BrokerError:
    """Return what callers are told of an error."""
    if isinstance(cause, BrokerError):
        return BrokerError(str(cause))
    said = (
        "no answer in time"
        if cause is None or isinstance(cause, asyncio.CancelledError)
        else words(cause)
    )
    error = BrokerError(f"PostgreSQL: {said}")
    error.__cause__ = cause
    return error
