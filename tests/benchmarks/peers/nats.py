"""nats-server (Go): its clients by WebSocket, its publisher by TCP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..frames import NatsMessages
from . import Built, Peer, compact, program

_CONFIGURATION = """
listen: "127.0.0.1:{inner}"
websocket {{ listen: "127.0.0.1:{port}", no_tls: true }}
ping_interval: "1h"  # its pings would need an answer
"""
_OPTIONS = json.dumps({"verbose": False, "pedantic": False, "protocol": 0})


def _build() -> Built:
    inner, writers = program.free_port(), list[asyncio.StreamWriter]()

    @asynccontextmanager
    async def serve(port: int) -> AsyncIterator[int]:
        files = {"nats.conf": _CONFIGURATION.format(inner=inner, port=port)}
        async with program.running(port, files, [program.find("nats-server") or "", "-c", "nats.conf"]) as pid:
            _, writer = await program.connect(inner)
            writer.write(f"CONNECT {_OPTIONS}\r\n".encode())
            writers.append(writer)
            yield pid

    async def publish(data: Any) -> None:
        payload = compact(data).encode()
        writers[0].write(b"PUB all %d\r\n%b\r\n" % (len(payload), payload))
        await writers[0].drain()

    return Built(program=serve, publish=publish)


PEER = Peer(
    "nats-server (Go)",
    _build,
    text=compact,
    path="/",
    hello=f"CONNECT {_OPTIONS}\r\nSUB all 1\r\nPING\r\n",
    greetings=2,  # INFO, and the answer to PING
    compresses=False,
    pure=False,
    reader=NatsMessages,
    missing=lambda: "" if program.find("nats-server") else "apt-get install nats-server",
)
