"""python-socketio: AsyncServer on uvicorn, alone or with its manager for Redis.

The client goes straight to WebSocket and connects to one namespace.
"""

from collections.abc import Callable
from typing import Any

from . import Built, Peer, compact, redis_url


def _build(manager: Any = None) -> Built:
    import socketio

    # Its ping is part of engine.io, cannot be off, and would be in the stream: one an hour comes after the end.
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=3600, client_manager=manager)

    async def publish(data: Any) -> None:
        await server.emit("message", data)

    return Built(socketio.ASGIApp(server), publish=publish)


def _build_over_redis() -> Built:
    import socketio

    return _build(socketio.AsyncRedisManager(redis_url()))


def _text(data: Any) -> str:
    return "42" + compact(["message", data])  # engine.io: a message; Socket.IO: an event


def _peer(title: str, build: Callable[[], Built]) -> Peer:
    return Peer(
        title,
        build,
        text=_text,
        path="/socket.io/?EIO=4&transport=websocket",
        hello="40",  # connect to the namespace /
        greetings=2,  # the engine.io handshake, and the answer to hello
    )


PEER = _peer("python-socketio", _build)
REDIS = _peer("python-socketio, Redis manager", _build_over_redis)
