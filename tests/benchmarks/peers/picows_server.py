"""picows: not Python but Cython, with a server of its own; for comparison with what a compiled server does."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from . import Built, Peer


def _build() -> Built:
    from picows import WSListener, WSMsgType, WSTransport, ws_create_server

    transports: set[WSTransport] = set()

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            transports.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            transports.discard(transport)

    async def publish(data: Any) -> None:
        payload = json.dumps(data).encode()
        for transport in transports:
            transport.send(WSMsgType.TEXT, payload)

    @asynccontextmanager
    async def serve(listener: socket.socket) -> AsyncIterator[None]:
        async with await ws_create_server(lambda request: Listener(), sock=listener):
            yield

    return Built(serve=serve, publish=publish)


PEER = Peer("picows (Cython), its own server", _build, compresses=False, pure=False)
