"""The load client: thousands of connections in one process, at less cost than any server has with them.

All frames of a server can be told in advance. So a chunk that arrives is not parsed but compared, at the connection's
own place, with the stream that is due: one memcmp proves content, completeness and order.
"""

import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from . import frames
from .peers import Peer
from .process import Server
from .publication import number

_WAVE = 64  # connections opened at once, below the shortest backlog of the peers (100)
_PER_ADDRESS = 20_000  # connections from one address, below Linux's 28,232 ephemeral ports
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen at connect, where only the pair must be unique
_CHUNK = 256 * 1024  # read at once, in bytes
_PATIENCE = 20  # for answers that are late, in seconds
_QUIET = 0.5  # after so long without a byte what is missing is missing, in seconds
# linux/tcp.h, struct tcp_info: tcpi_data_segs_in, the segments with data that came.
_SEGMENTS = struct.Struct("@152xI")
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: close with RST, which leaves no TIME_WAIT


_UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
_EVENTS = "Accept: text/event-stream\r\n"


class StreamError(Exception):
    """A connection got something else than what was due."""


@dataclass
class Due:
    """What each connection will get, from publication ``first`` on.

    ``streams`` is by connection, ``ends`` has the place in a stream after each publication.
    """

    first: int
    streams: Sequence[bytes | bytearray]
    ends: list[int]

    @property
    def mean(self) -> float:
        """The bytes of a message."""
        return self.ends[-1] / len(self.ends) if self.ends else 1.0

    def total(self, published: int) -> int:
        """Return the bytes due to all together, -1 if that is not known yet."""
        return len(self.streams) * (self.ends[published - 1] if published else 0)

    def learn(self, chunk: memoryview, place: int) -> bool:
        """Return whether a chunk that differs from a stream is due all the same, as the stream was not all known."""
        return False


@dataclass(slots=True)
class Arrived:
    """What came of it."""

    reply: dict[str, Any]
    bytes: int
    due_bytes: int
    ended: float  # when the last of it came, in seconds of the monotonic clock
    wire_bytes: int = 0  # what came with its framing
    places: list[tuple[int, int, float]] = field(default_factory=list)  # from, to, when

    @property
    def complete(self) -> bool:
        return self.bytes == self.due_bytes


class Crowd:
    """The connections to one server, or to the ``workers`` that serve what it publishes."""

    def __init__(self, peer: Peer, server: Server, *workers: Server, deflate: bool = False) -> None:
        self._peer = peer
        self._server = server
        self._workers = workers or (server,)
        self._deflate = deflate
        self.sockets: list[socket.socket] = []
        self._connection: dict[int, int] = {}  # the number of a connection by its file descriptor
        self._epoll = select.epoll()
        self._epoll.register(server.fileno(), select.EPOLLIN)

    def grow(self, count: int) -> None:
        """Open connections until there are ``count``, and wait until the server is done with them."""
        while len(self.sockets) < count:
            first = len(self.sockets)
            wave = [self._connect(place) for place in range(first, min(first + _WAVE, count))]
            self.sockets += wave
            for place, sock in enumerate(wave, first):
                self._greet(sock)
                sock.setblocking(False)
                self._connection[sock.fileno()] = place
                self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._settle()

    def close(self) -> None:
        for sock in self.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        self._epoll.close()

    def _connect(self, place: int) -> socket.socket:
        sock = socket.socket()
        sock.settimeout(20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.0.{2 + place // _PER_ADDRESS}", 0))
        port = self._workers[place % len(self._workers)].port
        sock.connect(("127.0.0.1", port))
        path = self._peer.path.format(user=place)
        headers = _EVENTS if self._peer.events else _UPGRADE + (_DEFLATE if self._deflate else "")
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode())
        return sock

    def _greet(self, sock: socket.socket) -> None:
        """Read the answer, and what a server says before it is asked."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(4096) or self._refused(data)
        head, _, data = data.partition(b"\r\n\r\n")
        if self._peer.events:
            self._greet_events(sock, head, data)
            return
        if b" 101 " not in head.partition(b"\r\n")[0] or (b"permessage-deflate" in head) is not self._deflate:
            self._refused(head)
        if self._peer.hello:
            sock.sendall(frames.client_frame(self._peer.hello.encode()))
        while len(list(frames.payloads(data))) < self._peer.greetings:
            data += sock.recv(4096) or self._refused(data)
        if len(list(frames.payloads(data))) != self._peer.greetings:
            raise StreamError(f"unexpected greeting: {data!r}")

    def _greet_events(self, sock: socket.socket, head: bytes, data: bytes) -> None:
        """Read what a stream begins with: one event, in one chunk of HTTP."""
        if b" 200 " not in head.partition(b"\r\n")[0]:
            self._refused(head)
        while not data.endswith(b"\n\n\r\n"):
            data += sock.recv(4096) or self._refused(data)

    def _refused(self, data: bytes) -> bytes:
        raise StreamError(f"the handshake failed: {data!r}\n{self._server.log()}")

    def poll(self) -> list[tuple[int, int]]:
        """Return what can be read from within a second, as epoll has it; the server's answers are among it."""
        return self._epoll.poll(1.0)

    def _settle(self) -> None:
        """Wait until the server has nothing more to do: handlers go on after the handshake."""
        until, before = time.monotonic() + 20, self.cpu()
        while time.monotonic() < until:
            time.sleep(0.05)
            now = self.cpu()
            if now - before < 0.005:
                return
            before = now

    def segments(self) -> int:
        """Return how many segments with data came to all connections.

        On loopback that is the number of writes, as long as each is smaller than 64 kB and the client keeps up.
        """
        infos = (sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS.size) for sock in self.sockets)
        return sum(_SEGMENTS.unpack(info)[0] for info in infos)

    def cpu(self) -> float:
        """Return the CPU seconds of those who serve."""
        return sum(worker.cpu() for worker in self._workers)

    def receive(self, due: Due, seconds: float, *, note: bool = False) -> Arrived:
        """Take what is due until the load has answered and all is there; with less after ``seconds``, return too.

        With ``note``, the place and the time of each chunk are kept.
        """
        at = dict.fromkeys(self._connection, 0)
        streams = {fd: due.streams[place] for fd, place in self._connection.items()}
        read = {sock.fileno(): sock.recv_into for sock in self.sockets}
        readers = {fd: self._peer.reader() for fd in self._connection} if self._peer.reader else {}
        buffer = bytearray(_CHUNK)
        view, control, poll, now = memoryview(buffer), self._server.fileno(), self._epoll.poll, time.monotonic
        arrived = Arrived({}, 0, -1, 0.0)
        places, got, wire, until = arrived.places, 0, 0, now() + seconds
        while got != arrived.due_bytes and now() < until:
            for fd, _ in poll(1.0):
                if fd == control:
                    arrived.reply = self._server.reply()
                    arrived.due_bytes = due.total(arrived.reply["published"])
                    continue
                size = read[fd](buffer)
                place, chunk = at[fd], view[:size]
                wire += size
                if readers and size:
                    chunk = memoryview(readers[fd].feed(bytes(chunk)))
                    if answer := getattr(readers[fd], "answer", b""):
                        self.sockets[self._connection[fd]].sendall(answer)
                if not size or not streams[fd].startswith(chunk, place):
                    if not size or not due.learn(chunk, place):
                        self._explain(fd, streams[fd], place, bytes(chunk), due)
                    if arrived.reply:
                        arrived.due_bytes = due.total(arrived.reply["published"])
                size = len(chunk)
                at[fd] = place + size
                got += size
                if note:
                    places.append((place, place + size, now()))
        arrived.ended, arrived.bytes, arrived.wire_bytes = now(), got, wire
        if not arrived.reply:
            arrived.reply = {"published": 0, "started": until - seconds, "times": []}
        return arrived

    def beat(self, count: int, rate: float) -> None:
        """Send the text ``ping`` ``count`` times, one connection after the other, and take as many answers."""
        ping, pong = frames.client_frame(b"ping"), frames.text_frame(b"pong")
        begun, sent, answered, now = time.monotonic(), 0, 0, time.monotonic
        until = begun + count / rate + _PATIENCE
        while answered < count:
            wait = begun + sent / rate - now() if sent < count else 1.0
            for fd, _ in self._epoll.poll(max(0.0, wait)):
                answer = self.sockets[self._connection[fd]].recv(4096)
                if answer != pong:
                    raise StreamError(f"connection {self._connection[fd]} answered {answer!r} to a ping")
                answered += 1
            if sent < count and now() >= begun + sent / rate:
                self.sockets[sent % len(self.sockets)].sendall(ping)
                sent += 1
            if now() > until:
                raise StreamError(f"{count - answered} of {count} pings without an answer")

    def _explain(self, fd: int, stream: bytes | bytearray, place: int, chunk: bytes, due: Due) -> None:
        """Say what a connection got instead of what was due."""
        name = f"connection {self._connection[fd]}"
        if not chunk:
            raise StreamError(f"{name} was closed by the server after {place} bytes\n{self._server.log()}")
        begin = max((end for end in (0, *due.ends) if end <= place), default=0)
        sock = self.sockets[self._connection[fd]]
        data = stream[begin:place] + chunk + b"".join(_rest(sock))
        expected = [number(payload) for payload in frames.payloads(stream[begin:])]
        raise StreamError(f"{name}: {_differences(expected, [number(payload) for payload in frames.payloads(data)])}")


def _rest(sock: socket.socket) -> Iterator[bytes]:
    sock.settimeout(_QUIET)
    try:
        while chunk := sock.recv(_CHUNK):
            yield chunk
    except TimeoutError:
        return


def _differences(expected: list[int | None], got: list[int | None]) -> str:
    known = set(expected)
    last = max((place for place, seq in enumerate(expected) if seq in set(got)), default=-1)
    missing = [seq for seq in expected[: last + 1] if seq not in set(got)]
    strange = [seq for seq in got if seq not in known]
    behind = [seq for before, seq in pairwise(got) if before is not None and seq is not None and seq <= before]
    return (
        f"from number {expected[0]} on, of {len(got)} messages: {len(missing)} missing {missing[:10]}, "
        f"{len(behind)} repeated or out of order {behind[:10]}, {len(strange)} not expected {strange[:10]}"
    )


@contextmanager
def connected(peer: Peer, server: Server, count: int, *workers: Server, deflate: bool = False) -> Iterator[Crowd]:
    """Open ``count`` connections, and close them."""
    crowd = Crowd(peer, server, *workers, deflate=deflate)
    try:
        crowd.grow(count)
        yield crowd
    finally:
        crowd.close()
