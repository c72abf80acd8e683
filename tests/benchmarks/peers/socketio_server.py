"""python-socketio: AsyncServer on uvicorn; the client goes straight to WebSocket and connects to one namespace."""

from typing import Any

from . import Built, Peer, compact


def _build() -> Built:
    import socketio

    # Its ping is part of engine.io, cannot be off, and would be in the stream: one an hour comes after the end.
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=3600)

    async def publish(data: Any) -> None:
        await server.emit("message", data)

    return Built(socketio.ASGIApp(server), publish=publish)


def _text(data: Any) -> str:
    return "42" + compact(["message", data])  # engine.io: a message; Socket.IO: an event


PEER = Peer(
    "python-socketio",
    _build,
    text=_text,
    path="/socket.io/?EIO=4&transport=websocket",
    hello="40",  # connect to the namespace /
    greetings=2,  # the engine.io handshake, and the answer to hello
)
