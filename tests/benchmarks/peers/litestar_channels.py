"""Litestar: the channels plugin on its memory backend, with the handlers that it makes itself."""

from typing import Any

from . import Built, Peer, compact


def _build() -> Built:
    from litestar import Litestar, get
    from litestar.channels import ChannelsPlugin
    from litestar.channels.backends.memory import MemoryChannelsBackend

    channels = ChannelsPlugin(MemoryChannelsBackend(), channels=["ws"], create_ws_route_handlers=True)

    @get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    async def publish(data: Any) -> None:
        await channels.wait_published(data, "ws")

    return Built(Litestar([health], plugins=[channels]), publish=publish)


PEER = Peer("Litestar channels, memory backend", _build, text=compact)
