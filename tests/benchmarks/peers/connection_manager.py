"""FastAPI with the ConnectionManager of its documentation (Advanced User Guide, WebSockets)."""

import json
from functools import partial
from typing import Any

from . import Built, Peer


def _build(*, each: bool) -> Built:
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    class ConnectionManager:
        def __init__(self) -> None:
            self.active_connections: list[WebSocket] = []

        async def connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.active_connections.append(websocket)

        def disconnect(self, websocket: WebSocket) -> None:
            self.active_connections.remove(websocket)

        async def broadcast(self, message: str) -> None:
            for connection in self.active_connections:
                await connection.send_text(message)

        async def broadcast_data(self, data: Any) -> None:
            for connection in self.active_connections:
                await connection.send_text(json.dumps(data))

    app, manager = FastAPI(), ConnectionManager()

    async def endpoint(websocket: WebSocket) -> None:
        await manager.connect(websocket)
        try:
            while True:
                if await websocket.receive_text() == "ping":
                    await websocket.send_text("pong")
        except WebSocketDisconnect:
            manager.disconnect(websocket)

    async def health() -> dict[str, str]:
        return {"status": "ok"}

    async def publish(data: Any) -> None:
        await manager.broadcast(json.dumps(data))

    app.add_api_websocket_route("/ws", endpoint)
    app.add_api_route("/health", health)
    return Built(app, publish=manager.broadcast_data if each else publish)


ENCODE_EACH = Peer("FastAPI ConnectionManager, send_text(json.dumps(...))", partial(_build, each=True))
ENCODE_ONCE = Peer("FastAPI ConnectionManager, broadcast(text)", partial(_build, each=False))
