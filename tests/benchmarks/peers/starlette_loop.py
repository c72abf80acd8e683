"""Starlette: the message encoded once, then ``await send`` for one connection after the other."""

import json
from typing import Any

from . import Built, Peer


def _build() -> Built:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    websockets: set[WebSocket] = set()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        websockets.add(websocket)
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
        websockets.discard(websocket)

    async def publish(data: Any) -> None:
        message = {"type": "websocket.send", "text": json.dumps(data)}
        for websocket in list(websockets):
            await websocket.send(message)

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Built(Starlette(routes=[WebSocketRoute("/ws", endpoint), Route("/health", health)]), publish=publish)


PEER = Peer("Starlette, await send in a loop", _build)
