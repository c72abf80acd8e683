"""websockets: ``broadcast()`` on its own server, without keepalive pings."""

import json
import socket
from contextlib import AbstractAsyncContextManager
from typing import Any

from . import Built, Peer


def _build() -> Built:
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    connections: set[ServerConnection] = set()

    async def handler(websocket: ServerConnection) -> None:
        connections.add(websocket)
        try:
            await websocket.wait_closed()
        finally:
            connections.remove(websocket)

    async def publish(data: Any) -> None:
        broadcast(connections, json.dumps(data))

    def start(listener: socket.socket) -> AbstractAsyncContextManager[object]:
        return serve(handler, sock=listener, ping_interval=None)

    return Built(serve=start, publish=publish)


PEER = Peer("websockets.broadcast, its own server", _build)
