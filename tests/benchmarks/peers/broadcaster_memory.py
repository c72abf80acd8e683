"""broadcaster: memory:// or redis:// with the two tasks a connection that its README shows."""

import json
from contextlib import asynccontextmanager
from typing import Any

from . import Built, Peer, redis_url


def _build(url: str = "memory://") -> Built:
    import anyio
    from broadcaster import Broadcast
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    broadcast = Broadcast(url)

    async def receiver(websocket: WebSocket) -> None:
        async for _ in websocket.iter_text():
            pass

    async def sender(websocket: WebSocket) -> None:
        async with broadcast.subscribe(channel="all") as subscriber:
            async for event in subscriber:  # type: ignore[union-attr]
                await websocket.send_text(event.message)  # type: ignore[union-attr]

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async with anyio.create_task_group() as task_group:

            async def run_receiver() -> None:
                await receiver(websocket=websocket)
                task_group.cancel_scope.cancel()

            task_group.start_soon(run_receiver)
            await sender(websocket)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with broadcast:
            yield

    async def publish(data: Any) -> None:
        await broadcast.publish(channel="all", message=json.dumps(data))

    return Built(Starlette(routes=[WebSocketRoute("/ws", endpoint)], lifespan=lifespan), publish=publish)


PEER = Peer("broadcaster, memory://", _build)
REDIS = Peer("broadcaster, Redis", lambda: _build(redis_url()))
