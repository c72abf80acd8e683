"""An ASGI application with a peer in it, for a server that is started by its own command: see ``elsewhere``."""

import json
import os
import signal
from typing import Any

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from . import peers
from .loads import LOADS

_LIFE = 600  # should whoever started it be killed without a word, it ends all the same, in seconds
_MAX_COMMAND = 100_000  # bytes

signal.alarm(_LIFE)
_built = peers.load(os.environ[peers.PEER_VARIABLE]).build()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the peer, and publish what the load client says."""
    if scope["type"] == "http" and scope["path"] == peers.START_PATH:
        async with await anyio.connect_unix(os.environ[peers.CONTROL_VARIABLE]) as control:
            await _obey(control)
    else:
        await _built.app(scope, receive, send)


async def _obey(control: SocketStream) -> None:
    async def reply(**values: Any) -> None:
        await control.send(json.dumps(values).encode() + b"\n")

    lines = BufferedByteReceiveStream(control)
    await reply(port=int(os.environ[peers.PORT_VARIABLE]), pid=os.getpid())
    while True:
        command = json.loads(await lines.receive_until(b"\n", _MAX_COMMAND))
        try:
            await reply(**await LOADS[command.pop("do")](_built, **command))
        except Exception as error:
            await reply(error=repr(error))
            raise
