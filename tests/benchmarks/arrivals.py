"""The load client of those who connect: many handshakes at once, each taken as far as a page takes it."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from . import frames
from .crowd import StreamError
from .peers import Peer
from .process import Server

_PER_ADDRESS = 5000  # a storm comes from several addresses
_PATIENCE = 60  # for all to be in, in seconds
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: close with RST, which leaves no TIME_WAIT

# What a browser sends.
_HEADERS = (
    "Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
    "\r\nUpgrade: websocket\r\nOrigin: http://{host}\r\nSec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@dataclass(slots=True)
class _Arrival:
    """One client: what it has got and not taken apart, what it says next, and how many messages it still waits for."""

    sock: socket.socket
    says: list[bytes]
    waits: int
    data: bytes = b""
    accepted: bool = False


class Arrivals:
    """Clients of one server, which connect, say what they have to, and are in once all of it is answered."""

    def __init__(self, peer: Peer, server: Server) -> None:
        self._peer = peer
        self._server = server
        self._clients: list[_Arrival] = []
        self._coming: dict[int, _Arrival] = {}  # by file descriptor
        self._epoll = select.epoll()

    def come(self, count: int, at_once: int) -> float:
        """Let so many connect, so many of them at the same time; return how long that took, in seconds."""
        began = time.monotonic()
        wanted = len(self._clients) + count
        while len(self._clients) < wanted or self._coming:
            while len(self._clients) < wanted and len(self._coming) < at_once:
                self._connect(len(self._clients))
            for fd, _ in self._epoll.poll(1.0):
                self._read(self._coming[fd])
            if time.monotonic() > began + _PATIENCE:
                raise StreamError(f"{len(self._coming)} clients are not in\n{self._server.log()}")
        return time.monotonic() - began

    def close(self) -> None:
        for client in self._clients:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.sock.close()
        self._epoll.close()

    def each_gets_one(self) -> None:
        """Take one message with each connection; raise StreamError if it is not there."""
        for client in self._clients:
            client.sock.settimeout(_PATIENCE)
            while not list(frames.payloads(client.data)):
                client.data += client.sock.recv(4096) or self._refused(client.data)

    def _connect(self, place: int) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((f"127.0.0.{2 + place // _PER_ADDRESS}", 0))
        sock.connect(("127.0.0.1", self._server.port))
        host = f"127.0.0.1:{self._server.port}"
        path = self._peer.path.format(user=place)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{_HEADERS.format(host=host)}\r\n".encode())
        sock.setblocking(False)
        says = [frames.client_frame(text.encode()) for text in (self._peer.hello, *self._peer.then) if text]
        client = _Arrival(sock, says, max(self._peer.greetings, len(says)))
        self._clients.append(client)
        self._coming[sock.fileno()] = client
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, client: _Arrival) -> None:
        client.data += client.sock.recv(65536) or self._refused(client.data)
        if not client.accepted:
            head, end, rest = client.data.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self._refused(head)
            client.accepted, client.data = True, rest
            self._say(client)
        for payload in list(frames.payloads(client.data)):
            if self._peer.expects not in payload:
                raise StreamError(f"unexpected greeting: {payload!r}")
            client.data = client.data.partition(payload)[2]
            client.waits -= 1
            self._say(client)
        if not client.waits:
            self._epoll.unregister(client.sock.fileno())
            del self._coming[client.sock.fileno()]

    def _say(self, client: _Arrival) -> None:
        if client.says:
            client.sock.sendall(client.says.pop(0))

    def _refused(self, data: bytes) -> bytes:
        raise StreamError(f"a client was refused: {data!r}\n{self._server.log()}")


@contextmanager
def arriving(peer: Peer, server: Server) -> Iterator[Arrivals]:
    """Return clients that have not connected yet; all are closed at the end."""
    arrivals = Arrivals(peer, server)
    try:
        yield arrivals
    finally:
        arrivals.close()
