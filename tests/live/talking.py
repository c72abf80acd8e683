"""How the tests talk to a server: over HTTP, by WebSocket, and by bytes."""

import base64
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.servers import HOST, PATIENCE, Server

# Of each request. To load the certificates of all authorities takes longer than a request, and nothing here is TLS.
PLAIN: dict[str, Any] = {"timeout": PATIENCE, "verify": False}


def post(server: Server, path: str, data: Any = None) -> Any:
    """POST JSON and return the answer's."""
    return httpx.post(server.http + path, json=data, timeout=2 * PATIENCE, verify=False).raise_for_status().json()


def state(server: Server) -> Any:
    """What the application tells of itself."""
    return httpx.get(server.http + "/state", **PLAIN).raise_for_status().json()


def until(happened: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Return what ``happened()`` returns, once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return found


def online(server: Server, user: str) -> bool:
    """Whether a user has a session."""
    return any(session["user"] == user for session in state(server)["sessions"])


def ended(server: Server, user: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """Wait until a user has no session, and return what on_disconnect was told, which must be once."""

    def found() -> list[dict[str, Any]]:
        now = state(server)
        if any(session["user"] == user for session in now["sessions"]):
            return []
        return [event for event in now["events"] if event["event"] == "disconnect" and event["user"] == user]

    events = until(found, seconds)
    assert len(events) == 1
    return dict(events[0])


@contextmanager
def client(server: Server, user: str, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    """A client that has a session: it has been answered a heartbeat."""
    # Without a bound on what it has received it reads all the time, as a browser does.
    options = {"compression": None, "close_timeout": 1, "max_size": 2**24, "max_queue": None} | options
    with connect(f"{server.ws}/websocket/{user}{query}", **options) as websocket:
        websocket.send("ping")
        assert websocket.recv(PATIENCE) == "pong"
        yield websocket


def handshake(path: str, *headers: str) -> bytes:
    """The bytes of an opening handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {HOST}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def raw(server: Server, user: str, *headers: str, buffer: int | None = None) -> socket.socket:
    """A socket that is connected as a WebSocket of a user; ``buffer`` is what it takes without being read."""
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(PATIENCE)
    sock.connect((HOST, server.port))
    sock.sendall(handshake(f"/websocket/{user}", *headers))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return sock


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as a client sends it, under a mask of zeros."""
    head, size = (0x80 if fin else 0) | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB", head, 0x80 | size) + bytes(4) + payload
    if size < 65_536:
        return struct.pack("!BBH", head, 0x80 | 126, size) + bytes(4) + payload
    return struct.pack("!BBQ", head, 0x80 | 127, size) + bytes(4) + payload


def reset(sock: socket.socket) -> None:
    """End a connection by RST, as a crash does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
