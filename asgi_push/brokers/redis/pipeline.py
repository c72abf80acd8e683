"""Commands to Redis, many in one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import NoScriptError

from ... import clock
from ..health import ConnectionHealth
from ..pipeline import MAX_TOGETHER, Pipeline
from ..waiting import TimeLimit
from . import inbox_scripts, place_scripts, scripts
from .connection import CONNECT_TIME, NODE_GONE, Connection
from .connection_factory import ConnectionFactory, TooOldError
from .health import reason, words
from .joined import Command
from .keys import Keys
from .requirements import channel_by_node, pings, probes, refusals
from .scripts import Script

# What a round trip may take, in seconds; Redis answers in less than a millisecond.
_ROUND_TRIP = 3.0

# How often it is tried whether what was refused is taken again, in seconds.
_PROBE_AGAIN = 1.0

_SCRIPTS = {
    name: script
    for module in (scripts, inbox_scripts, place_scripts)
    for name, script in vars(module).items()
    if isinstance(script, Script)
}

# What people call the scripts, and what they are, by what Redis calls them.
_NAMES = {
    known: name.lower()
    for name, script in _SCRIPTS.items()
    for known in (script.sha, script.source)
}
_SOURCES = {script.sha: script.source for script in _SCRIPTS.values()}


class RedisPipeline(Pipeline[Command]):
    """The way to one Redis server or cluster."""

    def __init__(self, factory: ConnectionFactory, health: ConnectionHealth, keys: Keys) -> None:
        super().__init__("Redis", "commands", health, TooOldError)
        self._factory = factory
        self._keys = keys
        self._connection: Connection | None = None
        self._refused: set[str] = set()  # what, as the outage was told
        self._lacking = ""  # commands that this user of Redis may not use
        self._named_at = 0.0
        self._stale = False  # there may be other nodes than it knows
        self._limit = TimeLimit()

    def rediscover(self) -> None:
        """Find the server, or the nodes of the cluster, anew before anything else is sent."""
        self._stale = True

    def channel_by_node(self) -> dict[str, str]:
        """Return by node a channel on each node that takes commands, as far as they are known."""
        return {} if self._connection is None else channel_by_node(self._connection, self._keys)

    def call(self, *command: bytes | str | int) -> Awaitable[Any]:
        """Send one command and return its answer, to be awaited.

        Awaited, it raises BrokerError if the command could not be sent, or was answered with an
        error or not at all. In the last case it may have been done.
        """
        return self._ask(command)

    def run(self, script: Script, keys: Sequence[str], *args: bytes | str | int) -> Awaitable[Any]:
        """Run a script and return its answer, to be awaited; see ``call``."""
        return self._ask(("EVALSHA", script.sha, len(keys), *keys, *args))

    async def _round_trip(self) -> None:
        if self._stale:
            self._stale = False
            await self._disconnect()
        connection = await self._connect()
        if clock.monotonic() >= self._look_at:
            await self._probe(connection, probes if self._refused else pings)
            connection = await self._connect()  # anew, if a node of a cluster did not answer
        asked = [self._waiting.popleft() for _ in range(min(MAX_TOGETHER, len(self._waiting)))]
        commands = [command for command, _ in asked]
        try:
            with self._limit.within(_ROUND_TRIP):
                answers = await connection.execute(commands)
            failed = [
                (command, answer)
                for command, answer in zip(commands, answers, strict=True)
                if isinstance(answer, Exception) and not isinstance(answer, NoScriptError)
            ]
            denied = any(reason(refusal) == "noperm" for _, refusal in failed)
            if denied and clock.monotonic() > self._named_at + _PROBE_AGAIN:
                # Redis does not name what it refuses to a script.
                await self._probe(await self._connect())
                self._named_at = clock.monotonic()
        except BaseException as error:
            self._fail(asked, error)  # some may have been done, so none is sent again
            raise
        for command, refusal in failed:
            self._note(command, refusal)
        if not self._refused:
            self._look_later()
        for (command, future), answer in zip(asked, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                self._refuse(command, future, answer)
            else:
                future.set_result(answer)

    def _refuse(self, command: Command, future: "asyncio.Future[Any]", answer: Exception) -> None:
        """Hand an error to whoever waits for an answer; a script that Redis has not is sent."""
        if isinstance(answer, NoScriptError):
            source = _SOURCES[str(command[1])]
            self._waiting.append((("EVAL", source, *command[2:]), future))
            return
        lacks = self._lacking if reason(answer) == "noperm" else ""
        remark = f" (this user may not use {lacks})" if lacks else ""
        future.set_exception(self._broker_error(answer, remark))

    def _note(self, command: Command, error: Exception) -> None:
        """Tell of what was refused; from now on it is tried whether that is over."""
        what = "a node" if isinstance(error, NODE_GONE) else _name(command)
        self._health.began(what, error)
        self._refused.add(what)
        self._look_at = min(self._look_at, clock.monotonic() + _PROBE_AGAIN)

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
        self._look_later()
        if refused:
            self._look_at = clock.monotonic() + _PROBE_AGAIN

    async def _begin(self) -> None:
        await self._probe(await self._connect())

    async def _connect(self) -> Connection:
        if self._connection is not None and self._connection.ready:
            return self._connection
        async with asyncio.timeout(CONNECT_TIME):
            if self._connection is None:
                self._connection = await self._factory.for_commands()
            if not self._connection.ready:
                await self._connection.open()
        return self._connection

    async def _disconnect(self) -> None:
        self._limit.stop()
        if (connection := self._connection) is not None:
            try:
                async with asyncio.timeout(CONNECT_TIME):
                    await connection.close()
            except Exception:  # noqa: BLE001, S110  # it is given up
                pass
            # Not before: who is cancelled meanwhile has it closed at the end.
            self._connection = None

    def _words(self, error: BaseException) -> str:
        return words(error)


def _name(command: Command) -> str:
    verb = str(command[0])
    return _NAMES.get(str(command[1]), "a script") if verb in ("EVALSHA", "EVAL") else verb
