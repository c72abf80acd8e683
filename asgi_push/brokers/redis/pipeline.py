"""Commands to Redis. Those that come while a round trip is under way go together in the next."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import NoScriptError

from ... import clock
from ...errors import BrokerError
from ..backoff import backoffs
from ..health import ConnectionHealth
from . import inbox_scripts, scripts
from .connection import CONNECT_TIME, NODE_GONE, Command, Connection
from .connection_factory import ConnectionFactory, TooOldError
from .health import reason, words
from .keys import Keys
from .requirements import channel_by_node, pings, probes, refusals
from .scripts import Script

# What a round trip may take, in seconds; Redis answers in less than a millisecond.
_ROUND_TRIP = 3.0

# Commands in one round trip, so that none of them waits for too many others; and commands that may
# wait.
_MAX_TOGETHER = 500
_MAX_WAITING = 20_000

# For so long after its beginning an outage is waited for, in seconds. A failover is over by then.
# Who asks later is told at once.
_PATIENCE = 2.0

# How often it is tried whether what was refused is taken again, in seconds.
_PROBE_AGAIN = 1.0

# When nothing was asked for so long it is looked whether the server still answers, in seconds.
_IDLE = 5.0

# What people call the scripts.
_NAMES = {
    known: name.lower()
    for name, script in {**vars(scripts), **vars(inbox_scripts)}.items()
    if isinstance(script, Script)
    for known in (script.sha, script.source)
}


class Pipeline:
    """The way to one Redis server or cluster. Nothing waits for longer than a few seconds."""

    def __init__(self, factory: ConnectionFactory, health: ConnectionHealth, keys: Keys) -> None:
        self._factory = factory
        self._health = health
        self._keys = keys
        self._connection: Connection | None = None
        self._waiting: deque[tuple[Command, asyncio.Future[Any]]] = deque()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._down_since: float | None = None
        self._cause: BaseException | None = None
        self._refused: set[str] = set()  # what, as the outage was told
        self._lacking = ""  # commands that this user of Redis may not use
        self._probe_at = self._named_at = 0.0
        self._stale = False  # there may be other nodes than it knows

    @property
    def up(self) -> bool:
        """Whether the last attempt to speak to the server succeeded."""
        return self._down_since is None

    async def start(self) -> None:
        """Begin; the server need not be there yet.

        Raises:
            TooOldError: it is there, and too old.
        """
        try:
            await self._begin()
        except (TooOldError, asyncio.CancelledError):
            await self._disconnect()
            raise
        except Exception as error:  # noqa: BLE001  # as in _run
            self._health.began("commands", error)
            await self._disconnect()
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
        await self._disconnect()

    def rediscover(self) -> None:
        """Find the server, or the nodes of the cluster, anew before anything else is sent."""
        self._stale = True

    def channel_by_node(self) -> dict[str, str]:
        """Return by node a channel on each node that takes commands, as far as they are known."""
        return {} if self._connection is None else channel_by_node(self._connection, self._keys)

    async def call(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            BrokerError: it could not be sent, or was answered with an error or not at all. In the
                last case it may have been done.
        """
        return self._checked(await self._ask(command))

    async def run(self, script: Script, keys: Sequence[str], *args: bytes | str | int) -> Any:
        """Run a script and return its answer; see ``call``."""
        answer = await self._ask(("EVALSHA", script.sha, len(keys), *keys, *args))
        if isinstance(answer, NoScriptError):
            answer = await self._ask(("EVAL", script.source, len(keys), *keys, *args))
        return self._checked(answer)

    async def _ask(self, command: Command) -> Any:
        if self._task is None:
            raise BrokerError("the broker is not running")
        if self._down_since is not None and (
            clock.monotonic() > self._down_since + _PATIENCE or isinstance(self._cause, TooOldError)
        ):
            raise _broker_error(self._cause)
        if len(self._waiting) >= _MAX_WAITING:
            raise BrokerError(f"{_MAX_WAITING} commands wait for Redis already")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        self._work.set()
        return await answer

    async def _run(self) -> None:
        if self._down_since is not None:
            await self._reconnect(self._cause or ConnectionError("not connected"))
        while True:
            await self._wait_for_work()
            while self._waiting or clock.monotonic() >= self._probe_at:
                try:
                    await self._round_trip()
                # Whatever redis-py raises: the server is not there.
                except Exception as error:  # noqa: BLE001
                    await self._reconnect(error)

    async def _wait_for_work(self) -> None:
        """Return when something is to be sent, or when it is time to look whether all is well."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._probe_at - clock.monotonic()):
                await self._work.wait()
        self._work.clear()

    async def _round_trip(self) -> None:
        if self._stale:
            self._stale = False
            await self._disconnect()
        connection = await self._connect()
        if clock.monotonic() >= self._probe_at:
            await self._probe(connection, probes if self._refused else pings)
        together = [self._waiting.popleft() for _ in range(min(_MAX_TOGETHER, len(self._waiting)))]
        try:
            async with asyncio.timeout(_ROUND_TRIP):
                answers = await connection.execute([command for command, _ in together])
            failed = [
                (command, answer)
                for (command, _), answer in zip(together, answers, strict=True)
                if _bad(answer)
            ]
            if clock.monotonic() > self._named_at + _PROBE_AGAIN and any(
                reason(refusal) == "noperm" for _, refusal in failed
            ):
                await self._probe(connection)  # Redis does not name what it refuses to a script
                self._named_at = clock.monotonic()
        except BaseException as error:
            self._fail(together, error)  # some may have been done, so none is sent again
            raise
        for command, refusal in failed:
            self._note(command, refusal)
        if not self._refused:
            self._probe_at = clock.monotonic() + _IDLE
        for (_, future), answer in zip(together, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _note(self, command: Command, error: Exception) -> None:
        """Tell of what was refused; from now on it is tried whether that is over."""
        what = "a node" if isinstance(error, NODE_GONE) else _name(command)
        self._health.began(what, error)
        self._refused.add(what)
        self._probe_at = min(self._probe_at, clock.monotonic() + _PROBE_AGAIN)

    async def _probe(
        self,
        connection: Connection,
        what_is_tried: Callable[[Connection, Keys], list[Command]] = probes,
    ) -> None:
        """Try what is needed, and tell what is refused; raises if there is no answer."""
        commands = what_is_tried(connection, self._keys)
        async with asyncio.timeout(_ROUND_TRIP):
            answers = await connection.execute(commands)
        refused = refusals(commands, answers)
        self._lacking = next(
            (names for names, error in refused.items() if reason(error) == "noperm"), ""
        )
        for what, error in refused.items():
            self._health.began(what, error)
        for what in self._refused - set(refused):
            self._health.ended(what)
        self._refused = set(refused)
        self._probe_at = clock.monotonic() + (_PROBE_AGAIN if refused else _IDLE)

    async def _begin(self) -> None:
        """Connect, and have something answered: some servers take connections and do no more."""
        await self._probe(await self._connect())

    async def _reconnect(self, cause: BaseException) -> None:
        """Return when the server answers again."""
        if self._down_since is None:
            self._down_since = clock.monotonic()
        for backoff in backoffs():
            self._cause = cause
            self._health.began("commands", cause)
            await self._disconnect()
            if isinstance(cause, TooOldError) or clock.monotonic() > self._down_since + _PATIENCE:
                self._fail(self._waiting, cause)
                self._waiting.clear()
            await asyncio.sleep(backoff)
            try:
                await self._begin()
            except Exception as error:  # noqa: BLE001  # as in _run
                cause = error
            else:
                break
        self._down_since = None
        self._health.ended("commands")

    async def _connect(self) -> Connection:
        async with asyncio.timeout(CONNECT_TIME):
            if self._connection is None:
                self._connection = await self._factory.for_commands()
            if not self._connection.ready:
                await self._connection.open()
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                async with asyncio.timeout(CONNECT_TIME):
                    await connection.close()
            except Exception:  # noqa: BLE001, S110  # it is given up
                pass

    def _checked(self, answer: Any) -> Any:
        if not isinstance(answer, Exception):
            return answer
        raise _broker_error(answer, self._lacking if reason(answer) == "noperm" else "")

    def _fail(
        self,
        asked: Sequence[tuple[Command, asyncio.Future[Any]]] | deque[Any],
        error: BaseException,
    ) -> None:
        for _, future in asked:
            if not future.done():
                future.set_exception(_broker_error(error))


def _bad(answer: Any) -> bool:
    return isinstance(answer, Exception) and not isinstance(answer, NoScriptError)


def _name(command: Command) -> str:
    verb = str(command[0])
    return _NAMES.get(str(command[1]), "a script") if verb in ("EVALSHA", "EVAL") else verb


def _broker_error(cause: BaseException | None, lacking: str = "") -> BrokerError:
    if isinstance(cause, BrokerError):
        return BrokerError(str(cause))
    said = (
        "no answer in time"
        if isinstance(cause, asyncio.CancelledError) or cause is None
        else words(cause)
    )
    error = BrokerError(
        f"Redis: {said}" + (f" (this user may not use {lacking})" if lacking else "")
    )
    error.__cause__ = cause
    return error
