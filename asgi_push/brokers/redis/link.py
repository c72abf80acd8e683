"""Commands to Redis. Those that come while a round trip is under way go together in the next."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError

from ...errors import BrokerError
from .outage import Outage, backoffs
from .scripts import Script
from .server import CONNECT_TIME, NODE_GONE, Command, Server, Wire

# What a round trip may take, in seconds; Redis answers in less than a millisecond.
_ROUND_TRIP = 3.0

# Commands in one round trip, so that none of them waits for too many others, and commands that may wait.
_MAX_TOGETHER = 500
_MAX_WAITING = 20_000

# For so long after its beginning an outage is waited for, in seconds: a failover is over by then, and who asks later is
# told at once.
_PATIENCE = 2.0


class Link:
    """The way to one Redis server, or one cluster. Nothing that is asked waits for longer than a few seconds."""

    def __init__(self, server: Server, outage: Outage) -> None:
        self._server = server
        self._outage = outage
        self._wire: Wire | None = None
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._cause: BaseException | None = None

    @property
    def up(self) -> bool:
        """Whether the last attempt to speak to the server succeeded."""
        return self._down_since is None

    def start(self) -> None:
        """Begin; the server is connected to when there is something to say."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; whoever still waits is told."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._fail(self._waiting, ConnectionError("the broker was stopped"))
        self._waiting.clear()
        await self._disconnect()

    async def call(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            BrokerError: it could not be sent, or was answered with an error or not at all; in the last case it may
                have been done.
        """
        return _checked(await self._ask(command))

    async def run(self, script: Script, keys: Sequence[str], *args: bytes | str | int) -> Any:
        """Run a script and return its answer; see ``call``."""
        answer = await self._ask(("EVALSHA", script.sha, len(keys), *keys, *args))
        if isinstance(answer, NoScriptError):
            answer = await self._ask(("EVAL", script.source, len(keys), *keys, *args))
        return _checked(answer)

    async def _ask(self, command: Command) -> Any:
        if self._task is None:
            raise BrokerError("the broker is not running")
        if self._down_since is not None and time.monotonic() > self._down_since + _PATIENCE:
            raise _broker_error(self._cause)
        if len(self._waiting) >= _MAX_WAITING:
            raise BrokerError(f"{_MAX_WAITING} commands wait for Redis already")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        self._work.set()
        return await answer

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                try:
                    await self._round_trip()
                except Exception as error:  # noqa: BLE001  # whatever redis-py raises: the server is not there
                    await self._reconnect(error)

    async def _round_trip(self) -> None:
        wire = self._wire
        if wire is None or not wire.ready:
            wire = await self._connect()
        together = [self._waiting.popleft() for _ in range(min(_MAX_TOGETHER, len(self._waiting)))]
        try:
            async with asyncio.timeout(_ROUND_TRIP):
                answers = await wire.execute([command for command, _ in together])
        except BaseException as error:
            self._fail(together, error)  # some may have been done, so none is sent again
            raise
        self._note(answers)
        for (_, future), answer in zip(together, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _note(self, answers: Sequence[Any]) -> None:
        """Tell of a node of a cluster that does not answer, and that all do again."""
        gone = next((answer for answer in answers if isinstance(answer, NODE_GONE)), None)
        if gone is not None:
            self._outage.began("a node", gone)
        else:
            self._outage.ended("a node")

    async def _reconnect(self, cause: BaseException) -> None:
        """Return when the server answers again."""
        self._down_since = time.monotonic()
        for backoff in backoffs():
            self._cause = cause
            self._outage.began("commands", cause)
            await self._disconnect()
            if time.monotonic() > self._down_since + _PATIENCE:
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
        self._outage.ended("commands")

    async def _connect(self) -> Wire:
        async with asyncio.timeout(CONNECT_TIME):
            if self._wire is None:
                self._wire = await self._server.wire()
            if not self._wire.ready:
                await self._wire.open()
        return self._wire

    async def _disconnect(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            try:
                async with asyncio.timeout(CONNECT_TIME):
                    await wire.close()
            except Exception:  # noqa: BLE001, S110  # it is given up
                pass

    def _fail(self, asked: Sequence[tuple[Command, asyncio.Future[Any]]] | deque[Any], error: BaseException) -> None:
        for _, future in asked:
            if not future.done():
                future.set_exception(_broker_error(error))


def _checked(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise _broker_error(answer)
    return answer


def _broker_error(cause: BaseException | None) -> BrokerError:
    reason = "no answer in time" if isinstance(cause, TimeoutError | asyncio.CancelledError) else str(cause)
    error = BrokerError(f"Redis: {reason}")
    error.__cause__ = cause
    return error
