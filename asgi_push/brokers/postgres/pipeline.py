"""Calls to PostgreSQL, many of one function in one statement."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from ..health import ConnectionHealth
from ..pipeline import MAX_TOGETHER, Pipeline
from .connection import Connection, ConnectionFactory, hang_up
from .functions import Function, Rows
from .health import reason, words
from .schema import SchemaError

# What a statement may take, in seconds: a transaction that commits much holds the places of its
# channels for that long.
_ROUND_TRIP = 5.0

# About how many bytes go in one statement, so that no call waits for too much of others.
_MAX_BYTES = 4 * 1024 * 1024

# How often a statement is tried that met another on its way (a deadlock, a serialization failure).
_TRIES = 5
_MET_ANOTHER = ("40001", "40P01")

T = TypeVar("T")

# What is wrong with the server, and not with the call.
_REFUSALS = ("noperm", "oom")

Call = tuple[Function, tuple[Any, ...]]


class PostgresPipeline(Pipeline[Call]):
    """One connection, on which one statement is under way.

    ``prepare``, if given, is called with each new connection, before anything else is.
    """

    def __init__(
        self,
        what: str,
        factory: ConnectionFactory,
        health: ConnectionHealth,
        prepare: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__("PostgreSQL", what, health, SchemaError)
        self._factory = factory
        self._prepare = prepare
        self._connection: Connection | None = None
        self._apart = 0  # how many of the next calls go in statements of their own

    def call(self, function: Function, *arguments: Any) -> "asyncio.Future[Rows]":
        """Call a function of the schema and return its rows, to be awaited.

        Awaited, it raises BrokerError if the function could not be called, or was answered with an
        error or not at all. In the last case it may have been done.
        """
        return self._ask((function, arguments))

    async def _round_trip(self) -> None:
        connection = await self._connect()
        if self._waiting:
            await self._statement(connection)
        else:
            await in_time(connection, connection.execute("SELECT 1"), _ROUND_TRIP)
        self._look_later()

    async def _statement(self, connection: Connection) -> None:
        asked = self._next()
        function = asked[0][0][0]
        calls = [arguments for (_, arguments), _ in asked]
        try:
            rows = await self._execute(connection, function, calls)
        except BaseException as error:
            if isinstance(error, psycopg.DataError) and len(asked) > 1:
                self._try_apart(asked)
                return
            self._fail(asked, error)  # it may have been done, so it is not sent again
            if connection.closed or not isinstance(error, psycopg.Error) or _elsewhere(error):
                raise
            if reason(error) in _REFUSALS:
                self._health.began(function.name, error)
            return
        self._health.ended(function.name)
        for (_, future), answer in zip(asked, function.answers(len(calls), rows), strict=True):
            if not future.done():
                future.set_result(answer)

    def _next(self) -> list[tuple[Call, "asyncio.Future[Any]"]]:
        """Return the calls that go in the next statement: of one function, in their order."""
        asked = [self._waiting.popleft()]
        function, arguments = asked[0][0]
        most = 1 if function.together == "alone" or self._apart else MAX_TOGETHER
        self._apart = max(0, self._apart - 1)
        size = _size(arguments)
        while (
            self._waiting
            and self._waiting[0][0][0] is function
            and len(asked) < most
            and size < _MAX_BYTES
        ):
            size += _size(self._waiting[0][0][1])
            asked.append(self._waiting.popleft())
        if function.together == "each":
            asked.sort(key=lambda one: str(one[0][1][0]))  # all who lock do so in one order
        return asked

    def _try_apart(self, asked: list[tuple[Call, "asyncio.Future[Any]"]]) -> None:
        """Do calls again of which one has a value that cannot be taken: nothing of it was done."""
        self._waiting.extendleft(reversed(asked))
        self._apart = len(asked)

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

    async def _begin(self) -> None:
        await self._connect()

    async def _connect(self) -> Connection:
        if self._connection is None:
            connection = await self._factory.connect()
            try:
                if self._prepare is not None:
                    await in_time(connection, self._prepare(connection), _ROUND_TRIP)
            except BaseException:
                hang_up(connection)
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            hang_up(connection)
            connection.pgconn.finish()

    def _words(self, error: BaseException) -> str:
        return words(error)


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
        task.exception()  # asyncio logs one that nobody has looked at
