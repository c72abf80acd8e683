"""ws and Socket.IO on Node: they publish in their own process, by the loads in ``node/loads.js``."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from . import Peer, compact, nothing_built, socketio_server

_FOLDER = Path(__file__).parent / "node"


def _missing() -> str:
    if not shutil.which("node"):
        return "apt-get install nodejs npm"
    installed = all((_FOLDER / "node_modules" / name).exists() for name in ("ws", "socket.io"))
    return "" if installed else f"npm install --prefix {os.path.relpath(_FOLDER)}"


def _command(name: str) -> tuple[str, ...]:
    return "node", str(_FOLDER / name)


WS = Peer(
    "ws (Node)",
    nothing_built,
    text=compact,
    compresses=False,
    pure=False,
    command=_command("ws.js"),
    missing=_missing,
)
SOCKETIO = replace(
    socketio_server.PEER,
    title="Socket.IO (Node)",
    build=nothing_built,
    compresses=False,
    pure=False,
    command=_command("socketio.js"),
    missing=_missing,
)
