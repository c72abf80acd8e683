"""The least that an ASGI application can do: accept, receive for ever, answer a ping."""

from typing import Any

from . import Built, Peer


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "ping":
            await send({"type": "websocket.send", "text": "pong"})


def _build() -> Built:
    return Built(_app)


PEER = Peer("bare uvicorn handler", _build)
