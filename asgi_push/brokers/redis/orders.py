"""The commands that come, each obeyed before anything that came after it is heard."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ...errors import BrokerError
from ...logs import logger
from .. import Obey

# What may wait for a command to be obeyed; then Redis waits, too. What obeying one may take, in seconds.
_MAX_WAITING = 10_000
_TIME = 5.0

Heard = Callable[[bytes, bytes], Awaitable[None]]


class Orders:
    """Commands of all processes, in the order in which they come from Redis, and what comes after them.

    They are obeyed in a task of its own: to subscribe sessions is to wait for what is read from Redis.
    """

    def __init__(self, commands: bytes, heard: Heard) -> None:
        self._commands = commands  # where they are published
        self._heard = heard
        self._waiting: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(_MAX_WAITING)
        self._expected: dict[bytes, asyncio.Future[None]] = {}
        self._unfinished = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, obey: Obey) -> None:
        """Begin to obey."""
        self._task = asyncio.create_task(self._run(obey))

    async def stop(self) -> None:
        """End; what waits is neither obeyed nor heard any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._waiting, self._unfinished = asyncio.Queue(_MAX_WAITING), 0

    async def take(self, name: bytes, message: bytes) -> None:
        """Something came: it is heard now, unless it is a command or comes after one."""
        if not self._unfinished and name != self._commands:
            await self._heard(name, message)
            return
        self._unfinished += 1
        await self._waiting.put((name, message))

    @contextmanager
    def expected(self, name: bytes) -> Iterator[Callable[[], Awaitable[None]]]:
        """Give something to await until the command of this name has been obeyed here.

        Raises:
            BrokerError: it did not come back in time.
        """
        done = self._expected[name] = asyncio.get_running_loop().create_future()

        async def obeyed() -> None:
            try:
                async with asyncio.timeout(_TIME):
                    await done
            except TimeoutError as error:
                raise BrokerError("Redis: a command did not come back in time") from error

        try:
            yield obeyed
        finally:
            del self._expected[name]

    async def _run(self, obey: Obey) -> None:
        while True:
            name, message = await self._waiting.get()
            try:
                if name == self._commands:
                    await self._obey(obey, *message.split(b"\n", 1))
                else:
                    await self._heard(name, message)
            except Exception:  # noqa: BLE001  # one that fails must not keep the others waiting
                logger.exception("a message from Redis failed")
            finally:
                self._unfinished -= 1

    async def _obey(self, obey: Obey, name: bytes, command: bytes) -> None:
        try:
            async with asyncio.timeout(_TIME):
                await obey(command)
        finally:
            if (done := self._expected.get(name)) is not None and not done.done():
                done.set_result(None)
