"""The commands that come, each obeyed before anything that came after it is heard."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ...errors import BrokerError
from ...logs import logger
from ...messages import Notice, Publication
from .. import Obey

# Commands are published like everything else, to the channel that no application can name.
COMMANDS = ""

# What may wait for a command to be obeyed; then Redis waits, too. What obeying one may take, in seconds.
_MAX_WAITING = 10_000
_TIME = 5.0

Item = Publication | Notice
Deliver = Callable[[Item], Awaitable[None]]


class Orders:
    """Commands of all processes, in the order in which they come from Redis, and what comes after them.

    They are obeyed in a task of its own: to subscribe sessions is to wait for what is read from Redis.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._waiting: asyncio.Queue[Item] = asyncio.Queue(_MAX_WAITING)
        self._expected: dict[bytes, asyncio.Future[None]] = {}
        self._unfinished = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, obey: Obey) -> None:
        """Begin to obey."""
        self._task = asyncio.create_task(self._run(obey))

    async def stop(self) -> None:
        """End; what waits is neither obeyed nor delivered any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._waiting, self._unfinished = asyncio.Queue(_MAX_WAITING), 0
        for done in self._expected.values():
            if not done.done():
                done.set_exception(BrokerError("the broker was stopped"))
                done.exception()  # taken, should nobody wait for it yet

    async def take(self, item: Item) -> None:
        """Something came: it is delivered now, unless it is a command or comes after one."""
        if not self._unfinished and item.channel != COMMANDS:
            await self._deliver(item)
            return
        self._unfinished += 1
        await self._waiting.put(item)

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
            done.cancel()

    async def _run(self, obey: Obey) -> None:
        while True:
            item = await self._waiting.get()
            try:
                if isinstance(item, Publication) and item.channel == COMMANDS:
                    await self._obey(obey, *item.payload.data.split(b"\n", 1))
                else:
                    await self._deliver(item)
            except Exception:  # noqa: BLE001  # one that fails must not keep the others waiting
                logger.exception("a command failed")
            finally:
                self._unfinished -= 1

    async def _obey(self, obey: Obey, name: bytes, command: bytes) -> None:
        try:
            async with asyncio.timeout(_TIME):
                await obey(command)
        finally:
            if (done := self._expected.get(name)) is not None and not done.done():
                done.set_result(None)
