"""Sends commands to Redis. Commands that come during a round trip go together in the next."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import NoScriptError

from ... import clock
from ...errors import BrokerError
from . import scripts
from .connection import CONNECT_TIME, NODE_GONE, Command, Connection
from .connection_factory import ConnectionFactory, TooOldError
from .health import ConnectionHealth, backoffs, reason, words
from .keys import Keys
from .requirements import channel_by_node, pings, probes, refusals
from .scripts import Script

# What a round trip may take, in seconds; Redis answers in less than a millisecond.
_ROUND_TRIP = 3.0

# Commands in one round trip, so that none waits for too many others.
_MAX_TOGETHER = 500

# Commands that may wait.
_MAX_WAITING = 20_000

# How long commands wait after an outage began, in seconds. A failover is over by then. Later
# commands fail at once.
_PATIENCE = 2.0

# How often refused commands are tried again, in seconds.
_PROBE_AGAIN = 1.0

# After how many seconds without a command the server is checked.
_IDLE = 5.0

# The names of the scripts, for people.
_NAMES = {
    known: name.lower()
    for name, script in vars(scripts).items()
    if isinstance(script, Script)
    for known in (script.sha, script.source)
}


class Pipeline:
    """Sends commands to one Redis server, or one cluster. No command waits longer than seconds."""

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
        self._refused: set[str] = set()  # what does not work, by its name in the health
        self._lacking = ""  # the commands that this Redis user must not use
        self._probe_at = 0.0
        self._named_at = 0.0
        self._stale = False  # the known nodes may be wrong

    @property
    def up(self) -> bool:
        """Whether the last command reached the server."""
        return self._down_since is None

    async def start(self) -> None:
        """Start; the server does not have to be there yet.

        Raises:
            TooOldError: The server is there, and too old.
        """
        try:
            await self._begin()
        except (TooOldError, asyncio.CancelledError):
            await self._disconnect()
            raise
        except Exception as error:  # noqa: BLE001  # as in _run
            self._health.began("commands", error)
            await self._disconnect()
            self._down_since, self._cause = clock.monotonic(), error
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; commands that wait fail."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._fail(self._waiting, ConnectionError("the broker was stopped"))
        self._waiting.clear()
        await self._disconnect()

    def rediscover(self) -> None:
        """Find the server, or the nodes of the cluster, again before anything else is sent."""
        self._stale = True

    def channel_by_node(self) -> dict[str, str]:
        """Return a channel on each node that takes commands, by the name of the node, if known."""
        return {} if self._connection is None else channel_by_node(self._connection, self._keys)

    async def call(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            BrokerError: It could not be sent, or was answered with an error or not at all. If not
                at all, it may have been carried out.
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
                except Exception as error:  # noqa: BLE001  # whatever redis-py raises
                    await self._reconnect(error)

    async def _wait_for_work(self) -> None:
        """Return when there is something to send, or when it is time to probe."""
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
            failed = [(command, answer) for (command, _), answer in zip(together, answers, strict=True) if _bad(answer)]
            if clock.monotonic() > self._named_at + _PROBE_AGAIN and any(
                reason(refusal) == "noperm" for _, refusal in failed
            ):
                await self._probe(connection)  # Redis does not name what it refuses to a script
                self._named_at = clock.monotonic()
        except BaseException as error:
            self._fail(together, error)  # some may have been carried out, so none is sent again
            raise
        for command, refusal in failed:
            self._note(command, refusal)
        if not self._refused:
            self._probe_at = clock.monotonic() + _IDLE
        for (_, future), answer in zip(together, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _note(self, command: Command, error: Exception) -> None:
        """Report what was refused, and probe it from now on."""
        what = "a node" if isinstance(error, NODE_GONE) else _name(command)
        self._health.began(what, error)
        self._refused.add(what)
        self._probe_at = min(self._probe_at, clock.monotonic() + _PROBE_AGAIN)

    async def _probe(
        self, connection: Connection, what_is_tried: Callable[[Connection, Keys], list[Command]] = probes
    ) -> None:
        """Try what is needed, and report what is refused; raise if there is no answer."""
        commands = what_is_tried(connection, self._keys)
        async with asyncio.timeout(_ROUND_TRIP):
            answers = await connection.execute(commands)
        refused = refusals(commands, answers)
        self._lacking = next((names for names, error in refused.items() if reason(error) == "noperm"), "")
        for what, error in refused.items():
            self._health.began(what, error)
        for what in self._refused - set(refused):
            self._health.ended(what)
        self._refused = set(refused)
        self._probe_at = clock.monotonic() + (_PROBE_AGAIN if refused else _IDLE)

    async def _begin(self) -> None:
        """Connect and probe: a server may accept connections and do nothing else."""
        await self._probe(await self._connect())

    async def _reconnect(self, cause: BaseException) -> None:
        """Connect again until the server answers."""
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
            except Exception:  # noqa: BLE001, S110  # it is not used any more
                pass

    def _checked(self, answer: Any) -> Any:
        if not isinstance(answer, Exception):
            return answer
        raise _broker_error(answer, self._lacking if reason(answer) == "noperm" else "")

    def _fail(self, asked: Sequence[tuple[Command, asyncio.Future[Any]]] | deque[Any], error: BaseException) -> None:
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
    said = "no answer in time" if isinstance(cause, asyncio.CancelledError) or cause is None else words(cause)
    error = BrokerError(f"Redis: {said}" + (f" (this user may not use {lacking})" if lacking else ""))
    error.__cause__ = cause
    return error
