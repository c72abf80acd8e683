"""Connections that carry commands: to one Redis server, or to the nodes of a cluster."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection

from ... import clock
from ..stopping import run_to_completion
from .joined import Command, ScriptRuns, raise_of_replica

# redis-py can be installed without its extra.
_pack: Callable[[Any], bytes] | None = None
with suppress(ImportError):
    from hiredis import pack_command as _pack

# What a TCP connection, TLS and authentication may take, in seconds.
CONNECT_TIME = 3.0

# A connection that was used so many seconds ago is taken for good. One that was idle for longer is
# checked first.
_FRESH = 0.5

# What one node of a cluster may take to connect and to answer, in seconds. The others wait for it
# that long, until the cluster has put another in its place.
NODE_TIME = 1.0

# How often it is asked who is in a cluster while a node does not answer, in seconds.
_LOOK_EVERY = 0.2

# How often the nodes of a cluster are asked for while all of them answer, in seconds: new nodes
# and other primaries show.
_LOOK_ANYWAY = 10.0

# After these answers of a node another may be in its place.
NODE_GONE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.ReadOnlyError,
)


class Connection(Protocol):
    """Sends commands and brings their answers."""

    @property
    def ready(self) -> bool:
        """Whether it needs no ``open``."""
        ...

    @property
    def nodes(self) -> int:
        """How many nodes take commands."""
        ...

    def node(self, key: str) -> str:
        """Return the name of the node that has a key."""
        ...

    async def open(self) -> None:
        """Be ready to send; raises where the server cannot be reached, and nothing was sent."""
        ...

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answer to each command, or the error that the server answered.

        Raises if the answers stay out.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class SingleConnection:
    """One server: everything in one round trip on one connection."""

    nodes = 1

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None
        self._used_at = 0.0
        self._runs = ScriptRuns()

    @property
    def ready(self) -> bool:
        """Whether there is a connection that was good a moment ago."""
        return self._connection is not None and clock.monotonic() < self._used_at + _FRESH

    def node(self, key: str) -> str:
        """There is one."""
        return ""

    async def open(self) -> None:
        """Take a connection that works; one that the server has closed is connected again."""
        await self._release()
        self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        self._used_at = clock.monotonic()

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Write all, then read all."""
        connection = self._connection
        if connection is None:
            raise ConnectionError("not open")
        sent, joined = self._runs.join(commands)
        try:
            await connection.send_packed_command(packed(connection, sent), check_health=False)
            answers = self._runs.split([await _answer(connection) for _ in sent], joined)
        except BaseException:
            # Answers that nobody reads may still come on it.
            await connection.disconnect(nowait=True)
            await self._release()
            raise
        self._used_at = clock.monotonic()
        return answers

    async def close(self) -> None:
        """Let go of the connection."""
        await self._release()
        await self._pool.disconnect()

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)


def packed(connection: AbstractConnection, commands: Sequence[Command]) -> list[bytes]:
    """Return the bytes of commands: by hiredis, which takes a fifth of the time."""
    if _pack is None:
        return connection.pack_commands(commands)
    return list(map(_pack, commands))


def parsed_answers(connection: AbstractConnection) -> Callable[[], Any]:
    """Return what gives the next answer that has come and is a list; None if it is to be read.

    Much comes in one piece, and redis-py takes seven calls for each answer of that. It has a parser
    of hiredis where that is installed. Without it, everything is to be read.
    """
    parser = getattr(connection, "_parser", None)
    gets = getattr(getattr(parser, "_reader", None), "gets", None)
    if gets is None:
        return lambda: None

    def next_parsed() -> Any:
        answer = gets(False)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, list) else None

    return next_parsed


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        raise_of_replica(error)
        return error


class ClusterConnection:
    """A cluster: redis-py knows which node each command belongs to, and where that is now."""

    def __init__(
        self, make: Callable[[], RedisCluster], found: Callable[[list[ClusterNode]], None]
    ) -> None:
        self._make = make
        self._found = found  # told of the nodes
        self._cluster: RedisCluster | None = None
        self._looked_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether the nodes are known."""
        return self._cluster is not None

    @property
    def nodes(self) -> int:
        """How many primaries there are."""
        return 0 if self._cluster is None else len(self._cluster.get_primaries())

    def node(self, key: str) -> str:
        """Return the name of the node that has a key, empty if none has."""
        try:
            node = None if self._cluster is None else self._cluster.get_node_from_key(key)
        except exceptions.SlotNotCoveredError:
            node = None
        return "" if node is None else str(node.name)

    async def open(self) -> None:
        """Know the nodes."""
        cluster = self._make()
        try:
            await cluster.initialize()
        except BaseException:
            await cluster.aclose()
            raise
        self._cluster = cluster
        self._looked_at = clock.monotonic()
        self._found(cluster.get_nodes())

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Send to each node what is its own."""
        if self._cluster is None:
            raise ConnectionError("not open")
        cluster = self._cluster
        by_node = dict[str, list[int]]()  # by its name: in redis-py 6.0 a node has no hash
        answers: list[Any] = [None] * len(commands)
        for place, command in enumerate(commands):
            try:
                node = cluster.get_node_from_key(_key(command))  # type: ignore[arg-type]
            except exceptions.SlotNotCoveredError as error:  # the others have a node
                answers[place] = exceptions.ClusterDownError(str(error))
            else:
                # None comes only to those who ask for a replica.
                by_node.setdefault(node.name, []).append(place)  # type: ignore[union-attr]
        found = await asyncio.gather(
            *[
                _pipeline(cluster, [commands[place] for place in places])
                for places in by_node.values()
            ]
        )
        for places, of_one in zip(by_node.values(), found, strict=True):
            for place, answer in zip(places, of_one, strict=True):
                answers[place] = answer
        if any(isinstance(answer, NODE_GONE) for answer in answers):
            if clock.monotonic() > self._looked_at + _LOOK_EVERY:
                await self.close()  # to ask who is there now
        elif clock.monotonic() > self._looked_at + _LOOK_ANYWAY:
            await self._look(cluster)
        return answers

    async def _look(self, cluster: RedisCluster) -> None:
        self._looked_at = clock.monotonic()
        try:
            async with asyncio.timeout(NODE_TIME):
                await cluster.nodes_manager.initialize()
        # What is known will do, and who sends finds out what does not work.
        except Exception:  # noqa: BLE001, S110
            pass
        self._found(cluster.get_nodes())

    async def close(self) -> None:
        """Let go of the connections."""
        self._looked_at = clock.monotonic()
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            await run_to_completion(cluster.aclose())  # a second one would do nothing


def _key(command: Command) -> bytes | str | int:
    """Return what decides to which node a command belongs."""
    return command[3] if command[0] in ("EVALSHA", "EVAL") else command[1]


async def _pipeline(cluster: RedisCluster, commands: Sequence[Command]) -> list[Any]:
    """Return for each command the answer of its node, or why there is none.

    A node that fails does not concern the commands of the others.
    """
    pipeline = cluster.pipeline()
    for command in commands:
        pipeline.execute_command(*command)
    try:
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
    except (exceptions.RedisError, OSError) as error:
        return [error] * len(commands)
    return answers
