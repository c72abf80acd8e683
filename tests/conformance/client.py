"""A strict WebSocket client on a bare socket, which can also do everything that a client should not."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import zlib
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.conformance.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameReader,
    Violation,
    masked,
)
from tests.servers import HOST, PATIENCE

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE = "permessage-deflate; client_max_window_bits"  # what browsers offer
_TAIL = b"\x00\x00\xff\xff"  # what a compressed message is sent without

# Codes that a close frame may carry (RFC 6455, section 7.4, and the IANA registry).
_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


class Refused(Exception):
    """The handshake was answered with an HTTP status."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.headers = headers
        self.body = body


class Closed(Exception):
    """The server closed; code 1005 for a close frame without one, 1006 for an end without a close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason!r}")
        self.code = code
        self.reason = reason


def dial(port: int, *, host: str = HOST, receive_buffer: int = 0) -> socket.socket:
    """A TCP connection; ``receive_buffer`` bytes are all that waits in it for a client that does not read."""
    sock = socket.socket()
    try:
        if receive_buffer:  # before connect, as it decides the window that is offered
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        sock.connect((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close with a TCP RST, as the kernel does for a process that dies with unread data."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def request(path: str, headers: Mapping[str, str]) -> bytes:
    """The request of a handshake."""
    own = {
        "Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }  # fmt: skip
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (own | headers).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Client:
    """One WebSocket, from the end of its handshake on.

    Whatever comes is checked; pings of the server are answered when they are read.
    """

    def __init__(
        self, sock: socket.socket, path: str, headers: Mapping[str, str] = {}, *, deflate: bool | str = False
    ) -> None:
        self.sock = sock
        self.pongs: list[bytes] = []
        self.compressed = 0  # messages that came compressed
        self.compressed_bytes = 0  # of these, as they came
        self.plain = 0  # messages that did not
        self._messages: deque[str | bytes] = deque()
        self._closed: Closed | None = None
        self._parts: list[Frame] = []
        offer = DEFLATE if deflate is True else deflate
        sent = request(path, {**headers, "Sec-WebSocket-Extensions": offer} if offer else headers)
        try:
            sock.sendall(sent)
            status, self.headers, rest = self._read_head()
            if status != 101:
                raise Refused(status, self.headers, self._read_body(rest))
            self._check_accepted(sent)
        except BaseException:
            sock.close()
            raise
        self.agreed = _parameters(self.headers.get("sec-websocket-extensions", ""))
        self._inflate = self._make_inflate()
        self._compressor = self._make_compressor()
        self._reader = FrameReader(deflate=self.agreed is not None)
        self._feed(rest)

    # -- the handshake ----------------------------------------------------------------------------------------------

    def _read_head(self) -> tuple[int, dict[str, str], bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self.sock.recv(65_536)):
                raise ConnectionAbortedError(f"the server hung up after {data!r}")
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(status_line.split()[1]), headers, rest

    def _read_body(self, rest: bytes) -> str:
        chunked = self.headers.get("transfer-encoding") == "chunked"
        size = int(self.headers.get("content-length", 1 << 20))
        while not rest.endswith(b"0\r\n\r\n") if chunked else len(rest) < size:
            if not (more := self.sock.recv(65_536)):
                break
            rest += more
        # Bodies here are one line, in one chunk.
        return rest.split(b"\r\n")[1].decode() if chunked else rest.decode()

    def _check_accepted(self, sent: bytes) -> None:
        key = sent.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        wanted = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        if self.headers.get("sec-websocket-accept") != wanted or self.headers.get("upgrade", "").lower() != "websocket":
            raise Violation(f"accepted with {self.headers}")

    def _make_inflate(self) -> zlib._Decompress:
        """No larger window than was agreed on: what refers to something before it cannot be read."""
        return zlib.decompressobj(-int((self.agreed or {}).get("server_max_window_bits", 15)))

    def _make_compressor(self) -> zlib._Compress:
        bits = int((self.agreed or {}).get("client_max_window_bits", 15))
        return zlib.compressobj(wbits=-max(bits, 9), strategy=zlib.Z_HUFFMAN_ONLY if bits == 8 else 0)

    # -- what comes -------------------------------------------------------------------------------------------------

    def receive(self) -> str | bytes:
        """Return the next message; raise Closed where that was the last."""
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            self.read_some()
        return self._messages.popleft()

    def receive_all(self, count: int) -> list[str | bytes]:
        """Return the next ``count`` messages."""
        return [self.receive() for _ in range(count)]

    def receive_close(self) -> Closed:
        """Return the server's close; a message before it is an error."""
        try:
            message = self.receive()
        except Closed as closed:
            return closed
        raise AssertionError(f"{message!r:.100} instead of a close")

    def receive_to_close(self) -> tuple[list[str | bytes], Closed]:
        """Return all messages up to the server's close, and that."""
        messages = []
        while True:
            try:
                messages.append(self.receive())
            except Closed as closed:
                return messages, closed

    def receive_pong(self) -> bytes:
        """Return the payload of the next pong, whatever messages come before it."""
        while not self.pongs:
            if self._closed is not None:
                raise self._closed
            self.read_some()
        return self.pongs.pop(0)

    def read_some(self) -> None:
        """Wait for some bytes and take them in."""
        try:
            data = self.sock.recv(262_144)
        except ConnectionResetError:
            data = b""
        if data:
            self._feed(data)
        elif self._closed is None:
            self._closed = Closed(1006)

    def read_to_end(self) -> None:
        """Read to the end of the connection, which nothing may come before but what RFC 6455 allows."""
        while self.sock.fileno() >= 0:
            try:
                data = self.sock.recv(262_144)
            except ConnectionResetError:
                return
            if not data:
                return
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if frame.opcode < CLOSE:
                self._parts.append(frame)
                if frame.fin:
                    self._messages.append(self._message())
            elif frame.opcode == PING:
                self.send_frame(PONG, frame.payload)
            elif frame.opcode == PONG:
                self.pongs.append(frame.payload)
            else:
                self._closed = _closed(frame.payload)

    def _message(self) -> str | bytes:
        parts, self._parts = self._parts, []
        data = parts[0].payload if len(parts) == 1 else b"".join(part.payload for part in parts)
        if parts[0].compressed:
            assert self.agreed is not None
            if "server_no_context_takeover" in self.agreed:
                self._inflate = self._make_inflate()
            self.compressed += 1
            self.compressed_bytes += len(data)
            data = self._inflate.decompress(data + _TAIL)
        else:
            self.plain += 1
        return data.decode() if parts[0].opcode == TEXT else data

    # -- what goes --------------------------------------------------------------------------------------------------

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message in one frame."""
        if isinstance(message, str):
            self.send_frame(TEXT, message.encode())
        else:
            self.send_frame(BINARY, message)

    def send_compressed(self, message: str, fragment: int) -> None:
        """Send a text message compressed, in fragments of so many bytes, with a ping after the first."""
        assert self.agreed is not None
        if "client_no_context_takeover" in self.agreed:
            self._compressor = self._make_compressor()
        data = self._compressor.compress(message.encode()) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        data = data.removesuffix(_TAIL)
        parts = [data[at : at + fragment] for at in range(0, len(data), fragment)]
        frames = [
            masked(CONTINUATION if place else TEXT, part, fin=place == len(parts) - 1, rsv=0 if place else 4)
            for place, part in enumerate(parts)
        ]
        frames.insert(1, masked(PING, b"between"))
        self.sock.sendall(b"".join(frames))

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        """Send one frame, which need not be a right one."""
        self.sock.sendall(masked(opcode, payload, fin=fin, rsv=rsv))

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        self.send_frame(CLOSE, struct.pack("!H", code) + reason.encode())

    def abort(self) -> None:
        """Go with a TCP RST."""
        reset(self.sock)

    def close(self) -> None:
        """Go without a close frame; twice is no error."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _parameters(extensions: str) -> dict[str, str] | None:
    """What was agreed on of permessage-deflate; None if it was not."""
    if not extensions:
        return None
    name, *parameters = (part.strip() for part in extensions.split(";"))
    assert name == "permessage-deflate"
    return {key: value for key, _, value in (parameter.partition("=") for parameter in parameters)}


def _closed(payload: bytes) -> Closed:
    if not payload:
        return Closed(1005)
    if len(payload) == 1 or (code := int.from_bytes(payload[:2], "big")) not in _CODES:
        raise Violation(f"a close frame with {payload!r}")
    return Closed(code, payload[2:].decode())
