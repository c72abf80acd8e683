"""A Redis whose sentinels say which server is the primary now."""

import asyncio
from typing import Any

from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from ...broker_url import SentinelUrl

# What one sentinel may take to connect and to answer, in seconds: the next is asked then.
_SENTINEL_TIME = 0.7


class SentinelPool(SentinelConnectionPool):
    """Connects to the server that the sentinels name, and keeps no connection to them."""

    def __init__(self, service: str, sentinel: Sentinel, **kwargs: Any) -> None:
        super().__init__(service, sentinel, **kwargs)  # type: ignore[no-untyped-call]
        self._asking = asyncio.Lock()

    async def get_master_address(self) -> tuple[str, int]:
        """Return the primary's address; ConnectionError of redis-py if no sentinel knows it."""
        async with self._asking:
            try:
                host, port = await super().get_master_address()  # type: ignore[no-untyped-call]
            finally:
                await self._close()
        return host, port

    async def _close(self) -> None:
        # redis-py before 8.1 closes them one by one only.
        closing = [sentinel.aclose() for sentinel in self.sentinel_manager.sentinels]
        await asyncio.gather(*closing, return_exceptions=True)


def sentinel_pool(url: SentinelUrl, **options: Any) -> SentinelPool:
    """Return a pool of connections to the primary, with these options of redis-py."""
    server: dict[str, Any] = dict(parse_url(url.server))
    tls = server.pop("connection_class", None) is SSLConnection
    secure = {name: value for name, value in server.items() if name.startswith("ssl_")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        url.sentinels,
        sentinel_kwargs={
            "username": url.username,
            "password": url.password,
            "protocol": 2,
            "socket_timeout": _SENTINEL_TIME,
            "socket_connect_timeout": _SENTINEL_TIME,
            "retry": Retry(NoBackoff(), 0),
            **({"ssl": True, **secure} if tls else {}),
        },
    )
    kind = SentinelManagedSSLConnection if tls else SentinelManagedConnection
    return SentinelPool(url.service, sentinel, connection_class=kind, **server, **options)
