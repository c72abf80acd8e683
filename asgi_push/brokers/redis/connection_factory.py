"""Makes connections to the Redis of a URL: one server or a cluster, of a version that will do."""

import random
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...broker_url import parse_sentinel_url
from ...errors import BrokerError
from ..credentials import BrokerCredentials
from ..stopping import run_to_completion
from .connection import CONNECT_TIME, NODE_TIME, ClusterConnection, Connection, SingleConnection
from .credentials import AskedCredentials, take_user
from .sentinel import sentinel_pool

# Another name for the same: what redis-py does not know.
_VALKEY = re.compile(r"\Avalkey(?=s?://)")

# Options of a URL that are not the caller's: what comes from Redis is read in one form, and waited
# for here.
_FIXED = frozenset(
    {
        "protocol",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "legacy_responses",
        "max_connections",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_timeout",
        "timeout",
    }
)

# The oldest version that has all that is used here. Older ones say in another way which users may
# publish to what.
OLDEST = (6, 2)


class TooOldError(BrokerError):
    """The server can never do what is needed."""


def _check_version(info: bytes) -> None:
    """Raise TooOldError if ``INFO`` tells of an old server. One that hides its version may try."""
    found = re.search(rb"redis_version:((\d+)\.(\d+)[^\r\n]*)", info)
    if found is not None and (int(found[2]), int(found[3])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise TooOldError(
            f"Redis: its version is {found[1].decode()}, and {needed} or newer is needed"
        )


class ConnectionFactory:
    """Makes connections to the Redis of a URL."""

    def __init__(self, url: str, credentials: BrokerCredentials | None = None) -> None:
        url = _stripped(url)
        # What redis-py does by itself is turned off: whether to try again is decided here, where
        # it is known what is safe.
        self._options: dict[str, Any] = {"protocol": 2, "client_name": "asgi_push"}
        if credentials is not None:
            url, user = take_user(url)
            self._options["credential_provider"] = AskedCredentials(credentials, user)
        self._url = url
        if not url.startswith("unix:"):
            self._options["socket_keepalive"] = True
        options = self._options | {
            "socket_timeout": None,
            "socket_connect_timeout": CONNECT_TIME,
            "retry": Retry(NoBackoff(), 0),
        }
        if "+sentinel:" in url:
            sentinels = parse_sentinel_url(url)
            pool: ConnectionPool = sentinel_pool(sentinels, **options)
            self.name = f"Redis {sentinels.service} of the sentinels"
        else:
            pool = ConnectionPool.from_url(url, **options)
            self.name = f"Redis at {_address(pool.connection_kwargs)}"
        self._pool = pool
        self._nodes: list[ClusterNode] = []  # if it is a cluster
        self._subscribed_to = ""  # the node of the last connection
        self.database = int(pool.connection_kwargs.get("db") or 0)

    def for_subscriptions(self) -> AbstractConnection:
        """Return a new connection, not connected yet.

        In a cluster it goes to any node: all of them tell what is published.
        """
        kwargs = dict(self._pool.connection_kwargs)
        # Another than the last, of which nothing more came.
        nodes = [node for node in self._nodes if node.name != self._subscribed_to] or self._nodes
        if nodes:
            node = random.choice(nodes)  # noqa: S311  # spreads the load
            self._subscribed_to = node.name
            kwargs |= {"host": node.host, "port": node.port}
        return self._pool.connection_class(**kwargs)

    async def for_commands(self) -> Connection:
        """Return what commands go through, alone or a cluster: the server says which it is.

        Raises:
            TooOldError: it can never do what is needed; and whatever redis-py raises.
        """
        if not self._nodes:
            alone = SingleConnection(self._pool)
            try:
                if not await self._is_cluster(alone):
                    return alone
            except BaseException:
                # redis-py does not close what was connecting when its task was cancelled.
                await run_to_completion(alone.close())
                raise
            await alone.close()
        return ClusterConnection(self._cluster, self._found)

    async def _is_cluster(self, alone: SingleConnection) -> bool:
        await alone.open()
        answers = await alone.execute([("INFO", "server"), ("INFO", "cluster")])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        server, cluster = answers
        _check_version(server)
        return b"cluster_enabled:1" in cluster

    def _cluster(self) -> RedisCluster:
        nodes = [ClusterNode(node.host, node.port) for node in self._nodes]
        return RedisCluster.from_url(
            self._url,
            startup_nodes=nodes,
            socket_timeout=NODE_TIME,
            socket_connect_timeout=NODE_TIME,
            retry=Retry(NoBackoff(), 0),
            **self._options,
        )

    def _found(self, nodes: list[ClusterNode]) -> None:
        self._nodes = nodes


def _address(kwargs: dict[str, Any]) -> str:
    """Return where connections go to: the path of a socket, or host and port."""
    if "path" in kwargs:
        return str(kwargs["path"])
    return "{host}:{port}".format_map({"host": "localhost", "port": 6379, **kwargs})


def _stripped(url: str) -> str:
    """Return a URL as redis-py knows it, without the options that are set here: they would win."""
    url = _VALKEY.sub("redis", url)
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in options if name not in _FIXED]
    return url if kept == options else urlunsplit(parts._replace(query=urlencode(kept)))
