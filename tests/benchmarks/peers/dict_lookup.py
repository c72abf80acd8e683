"""One user, as it is written by hand: a dict from user to WebSocket."""

import json
from typing import Any

from . import Built, Peer


def _build() -> Built:
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    app, websockets = FastAPI(), dict[str, WebSocket]()

    async def endpoint(websocket: WebSocket, user_id: str) -> None:
        await websocket.accept()
        websockets[user_id] = websocket
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            del websockets[user_id]

    async def send(user: str, data: Any) -> None:
        websocket = websockets.get(user)
        if websocket is not None:
            await websocket.send_text(json.dumps(data))

    app.add_api_websocket_route("/ws/{user_id}", endpoint)
    return Built(app, send=send)


PEER = Peer("a dict lookup and send_text(json.dumps(...))", _build, path="/ws/{user}")
