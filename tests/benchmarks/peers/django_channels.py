"""Django Channels: the in-memory layer and those of channels_redis, served by uvicorn as all the others."""

import json
from functools import partial
from typing import Any

from . import Built, Peer, redis_url


def _build(layer: str = "channels.layers.InMemoryChannelLayer", **options: Any) -> Built:
    from django.conf import settings

    settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": layer, "CONFIG": options}})

    import django
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    django.setup()

    class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
        async def connect(self) -> None:
            await self.channel_layer.group_add("all", self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard("all", self.channel_name)

        async def publication(self, event: dict[str, Any]) -> None:
            await self.send(text_data=json.dumps(event["data"]))

    async def publish(data: Any) -> None:
        await get_channel_layer().group_send("all", {"type": "publication", "data": data})

    return Built(ProtocolTypeRouter({"websocket": URLRouter([path("ws", Consumer.as_asgi())])}), publish=publish)


def _build_over_redis(layer: str) -> Built:
    # Over the capacity of 100, its default, group_send drops messages, which a burst is: none is to be lost here.
    return _build(layer, hosts=[redis_url()], capacity=1_000_000)


PEER = Peer("Django Channels, in-memory layer", _build)
REDIS = Peer("channels_redis, core", partial(_build_over_redis, "channels_redis.core.RedisChannelLayer"))
REDIS_PUBSUB = Peer(
    "channels_redis, pub/sub", partial(_build_over_redis, "channels_redis.pubsub.RedisPubSubChannelLayer")
)
