"""The connection on which this process is woken, and how it is known that it would be."""

import asyncio
from itertools import count
from typing import Protocol

import orjson

from ...errors import BrokerError
from ..backoff import backoffs
from ..health import ConnectionHealth, Deaf
from ..stopping import end_tasks
from .connection import CONNECT_TIME, Connection, ConnectionFactory, hang_up
from .functions import TELL
from .pipeline import PostgresPipeline, in_time

# How often this process notifies itself, and how long that may take to come, in seconds.
_EVERY = 2.0
_LATE = 3.0

# What every process is notified by; what is for one alone has the process after a dot.
_ALL = "asgi_push"

_DEAF = "is there a PgBouncer between? postgres_listen_url must name the server itself"


class Ears(Protocol):
    """Who is told of what the listener hears."""

    def woken(self, channels: list[str]) -> None:
        """Something came in channels."""
        ...

    def commanded(self, place: int) -> None:
        """A command came, at this place among all commands."""
        ...

    def told(self, text: str) -> None:
        """Something came for this process alone."""
        ...

    def listening(self) -> None:
        """All that comes from now on is notified."""
        ...

    def silent(self) -> None:
        """Nothing is notified any more, for a while."""
        ...


class Listener:
    """Keeps one connection listening; a lost one is made anew."""

    def __init__(
        self,
        factory: ConnectionFactory,
        process_id: str,
        health: ConnectionHealth,
        pipeline: PostgresPipeline,
        ears: Ears,
    ) -> None:
        self._id = process_id
        self._factory = factory
        self._health = health
        self._pipeline = pipeline
        self._ears = ears
        self._signs = count(1)
        self._heard = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.hears = False

    def start(self) -> None:
        """Begin, if it has not begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            await end_tasks([self._task])
            self._task = None

    async def _run(self) -> None:
        waits = backoffs()
        while True:
            connection: Connection | None = None
            try:
                connection = await self._factory.connect()
                listen = connection.execute(f'LISTEN {_ALL}; LISTEN "{_ALL}.{self._id}"')
                await in_time(connection, listen, CONNECT_TIME)
                await self._serve(connection)
            except Exception as error:  # noqa: BLE001  # whatever it is, nothing is heard
                self._health.began("listening", error)
                waits = backoffs() if self.hears else waits
            finally:
                self._hear_nothing()
                if connection is not None:
                    hang_up(connection)
                    connection.pgconn.finish()
            await asyncio.sleep(next(waits))

    def _hear_nothing(self) -> None:
        if self.hears:
            self.hears = False
            self._ears.silent()

    async def _serve(self, connection: Connection) -> None:
        reading = asyncio.create_task(self._read(connection))
        watching = asyncio.create_task(self._watch())
        try:
            done, _ = await asyncio.wait([reading, watching], return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            await end_tasks([reading, watching])

    async def _read(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        pgconn = connection.pgconn
        number = pgconn.socket  # which a lost connection does not know any more
        loop.add_reader(number, ready.set)
        ready.set()  # something may have come already
        try:
            while True:
                await ready.wait()
                ready.clear()
                pgconn.consume_input()
                while (notified := pgconn.notifies()) is not None:
                    self._take(notified.relname.decode(), notified.extra.decode())
        finally:
            loop.remove_reader(number)

    def _take(self, name: str, text: str) -> None:
        if name == _ALL:
            self._wake(text)
        elif text.startswith("sign:"):
            self._heard = max(self._heard, int(text.partition(":")[2]))
            self._news.set()
        else:
            self._ears.told(text)

    def _wake(self, text: str) -> None:
        """Say what came: the names of channels, or the place of a command."""
        try:
            found = orjson.loads(text)
        except ValueError:  # somebody else's
            return
        if isinstance(found, list):
            self._ears.woken([name for name in found if isinstance(name, str)])
        elif isinstance(found, int):
            self._ears.commanded(found)

    async def _watch(self) -> None:
        """Notify this process again and again; Deaf if that does not come."""
        while True:
            sign = next(self._signs)
            try:
                await self._pipeline.call(TELL, self._id, f"sign:{sign}")
            except BrokerError:  # nothing can be said now, which is told by who tries
                await asyncio.sleep(_EVERY / 4)
                continue
            await self._wait(sign)
            if not self.hears:
                self.hears = True
                self._health.ended("listening")
                self._ears.listening()
            await asyncio.sleep(_EVERY)

    async def _wait(self, sign: int) -> None:
        try:
            async with asyncio.timeout(_LATE):
                while self._heard < sign:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise Deaf(f"a notification did not come ({_DEAF})") from None
