"""The commands that come, obeyed one after the other; whoever sent one may wait until this process has obeyed it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ...errors import BrokerError
from ...logs import logger
from .. import Obey

# Commands that may wait, and what obeying one may take, in seconds.
_MAX_WAITING = 10_000
_TIME = 5.0


class Orders:
    """Commands of all processes, in the order in which they come from Redis."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue(_MAX_WAITING)
        self._expected: dict[bytes, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, obey: Obey) -> None:
        """Begin to obey."""
        self._task = asyncio.create_task(self._run(obey))

    async def stop(self) -> None:
        """End; what waits is not obeyed any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def take(self, name: bytes, command: bytes) -> None:
        """A command came."""
        try:
            self._waiting.put_nowait((name, command))
        except asyncio.QueueFull:
            logger.error("a command was dropped: %d of them wait already", _MAX_WAITING)

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
            name, command = await self._waiting.get()
            try:
                async with asyncio.timeout(_TIME):
                    await obey(command)
            except Exception:  # noqa: BLE001  # one that fails must not keep the others waiting
                logger.exception("a command failed")
            if (done := self._expected.get(name)) is not None and not done.done():
                done.set_result(None)
