"""Litestar: the channels plugin on its memory backend or those for Redis, with the handlers that it makes itself."""

from functools import partial
from typing import Any

from . import Built, Peer, compact, redis_url


def _build(backend: Any = None) -> Built:
    from litestar import Litestar, get
    from litestar.channels import ChannelsPlugin
    from litestar.channels.backends.memory import MemoryChannelsBackend

    channels = ChannelsPlugin(backend or MemoryChannelsBackend(), channels=["ws"], create_ws_route_handlers=True)

    @get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    async def publish(data: Any) -> None:
        await channels.wait_published(data, "ws")

    return Built(Litestar([health], plugins=[channels]), publish=publish)


def _build_over_redis(*, kept: bool) -> Built:
    from litestar.channels.backends.redis import RedisChannelsPubSubBackend, RedisChannelsStreamBackend
    from redis.asyncio import Redis

    redis = Redis.from_url(redis_url())
    # As much history as asgi_push keeps.
    return _build(RedisChannelsStreamBackend(100, redis=redis) if kept else RedisChannelsPubSubBackend(redis=redis))


PEER = Peer("Litestar channels, memory backend", _build, text=compact)
REDIS = Peer("Litestar channels, Redis pub/sub", partial(_build_over_redis, kept=False), text=compact)
REDIS_STREAM = Peer("Litestar channels, Redis streams", partial(_build_over_redis, kept=True), text=compact)
