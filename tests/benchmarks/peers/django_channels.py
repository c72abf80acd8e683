"""Django Channels: the in-memory layer, served by uvicorn as all the others."""

import json
from typing import Any

from . import Built, Peer


def _build() -> Built:
    from django.conf import settings

    settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})

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


PEER = Peer("Django Channels, in-memory layer", _build)
