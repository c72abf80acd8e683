"""One Redis server, or a cluster, as redis-py speaks to it."""

from collections.abc import Sequence
from typing import Any, Protocol

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, ResponseError

Command = tuple[bytes | str | int, ...]

# What a TCP connection, TLS and authentication may take, in seconds.
CONNECT_TIME = 3.0


class Wire(Protocol):
    """Sends commands and brings their answers."""

    async def open(self) -> None:
        """Be ready to send; raises where the server cannot be reached, and nothing was sent."""
        ...

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answer to each command, or the error that the server answered; raises if the answers stay out."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Server:
    """Makes connections to the Redis of a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        # What redis-py does by itself is turned off: to try again is decided here, where it is known what is safe.
        self._options: dict[str, Any] = {"protocol": 2, "socket_keepalive": True, "client_name": "asgi_push"}
        pool = self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_TIME,
            retry=Retry(NoBackoff(), 0),
            **self._options,
        )
        self.name = "Redis at {host}:{port}".format_map({"host": "localhost", "port": 6379, **pool.connection_kwargs})
        self.database = int(pool.connection_kwargs.get("db") or 0)

    def connection(self) -> AbstractConnection:
        """Return a connection of its own, not connected yet."""
        made: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # as some of redis-py
        return made

    async def wire(self) -> Wire:
        """Return what commands go through, alone or a cluster: the server says which it is."""
        alone = AloneWire(self._pool)
        await alone.open()
        (info,) = await alone.execute([("INFO", "cluster")])
        if b"cluster_enabled:1" not in info:
            return alone
        await alone.close()
        return ClusterWire(self._url, self._options)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._pool.disconnect()


class AloneWire:
    """One server: everything in one round trip on one connection."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: AbstractConnection | None = None

    async def open(self) -> None:
        """Take a connection that is known to be good; one that the server has closed meanwhile is connected again."""
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Write all, then read all."""
        connection, self._connection = self._connection, None
        if connection is None:
            raise ConnectionError("not open")
        try:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [await _answer(connection) for _ in commands]
        except BaseException:
            await connection.disconnect(nowait=True)  # answers that nobody reads may still come on it
            raise
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            await self._pool.release(self._connection)
            self._connection = None
        await self._pool.disconnect()


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ReadOnlyError:  # it is the primary no more: another server is, at the same address
        raise
    except ResponseError as error:
        return error


class ClusterWire:
    """A cluster: redis-py knows which node each command belongs to."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._cluster = RedisCluster.from_url(
            url, socket_timeout=CONNECT_TIME, socket_connect_timeout=CONNECT_TIME, **options
        )

    async def open(self) -> None:
        """Know the nodes."""
        await self._cluster.initialize()

    async def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Send to each node what is its own."""
        pipeline = self._cluster.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def close(self) -> None:
        """Let go of the connections."""
        await self._cluster.aclose()
