"""WebSocket frames (RFC 6455, section 5.2), and events, as bytes."""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

_TEXT = 0x81  # the last frame of a message, opcode 1
_COMPRESSED = 0x40  # RSV1, RFC 7692, section 6
_MASKED = 0x80

_SHARED_FROM = 512  # what asgi_push compresses, in bytes

_ENVELOPE = re.compile(
    rb'^\{"channel":"[^"]+","id":"[^"]+","time":[\d.]+,(?:"confirm":true,)?"data":(.*)\}\n', re.MULTILINE
)
_PLACE = re.compile(rb'("channel":"[^"]*","id":"[^"]*"),"time":[\d.]+,"confirm":true,')
_NATS_PAYLOAD = re.compile(rb"^(\{.*\})\r$", re.MULTILINE)
_DATA = re.compile(rb"^data: (.*\n)", re.MULTILINE)


def text_frame(payload: bytes, flags: int = _TEXT) -> bytes:
    """Return a frame as a server sends it, unmasked."""
    return struct.pack("!B", flags) + _length(len(payload), 0) + payload


def client_frame(payload: bytes) -> bytes:
    """Return a text frame as a client sends it; the mask is zero, which leaves the payload as it is."""
    return struct.pack("!B", _TEXT) + _length(len(payload), _MASKED) + bytes(4) + payload


def _length(size: int, mask: int) -> bytes:
    if size < 126:
        return struct.pack("!B", mask | size)
    if size < 65536:
        return struct.pack("!BH", mask | 126, size)
    return struct.pack("!BQ", mask | 127, size)


class Deflate:
    """Compresses as websockets does for uvicorn and for its own server, so that the bytes can be told in advance."""

    def __init__(self) -> None:
        self._compress = zlib.compressobj(wbits=-12, memLevel=5)

    def __call__(self, payload: bytes) -> bytes:
        data = self._compress.compress(payload) + self._compress.flush(zlib.Z_SYNC_FLUSH)
        return text_frame(data.removesuffix(b"\x00\x00\xff\xff"), _TEXT | _COMPRESSED)


class SharedDeflate:
    """Compresses as asgi_push does: each long message from an empty window."""

    def __call__(self, payload: bytes) -> bytes:
        return text_frame(payload) if len(payload) < _SHARED_FROM else Deflate()(payload)


class Reader(Protocol):
    """What takes the bytes of one connection apart; with an attribute ``answer``, what the client sends then."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what is new, each message ended by a newline."""


class Lines:
    """Takes the frames of one connection apart, as they come: what they carry, each message ended by a newline."""

    def __init__(self, end: bytes = b"\n") -> None:
        self._end = end
        self._rest = b""  # of a frame's header
        self._missing = 0  # of a frame's payload

    def feed(self, chunk: bytes) -> bytes:
        """Return what is new."""
        data, at, found = self._rest + chunk, 0, []
        self._rest = b""
        while at < len(data):
            if not self._missing:
                head = _head(data, at)
                if head is None:
                    self._rest = data[at:]
                    break
                self._missing, at = head
            part = data[at : at + self._missing]
            at += len(part)
            self._missing -= len(part)
            found.append(part if self._missing else part + self._end)
        return b"".join(found)


class Envelopes:
    """Takes the frames of one connection apart, as they come: what the envelopes in them carry."""

    answer = b""  # the client sends nothing

    def __init__(self) -> None:
        self._lines = Lines()
        self._rest = b""  # of a line

    def feed(self, chunk: bytes) -> bytes:
        """Return what is new."""
        return b"".join([data + b"\n" for data in _ENVELOPE.findall(self._whole(chunk))])

    def _whole(self, chunk: bytes) -> bytes:
        whole, end, self._rest = (self._rest + self._lines.feed(chunk)).rpartition(b"\n")
        return whole + end


class Confirming(Envelopes):
    """Does the same for a client that confirms the last of each chunk that somebody waits for."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what is new; ``answer`` is what the client sends then."""
        whole = self._whole(chunk)
        places = _PLACE.findall(whole)
        self.answer = client_frame(b'{"type":"ack",%b}' % places[-1]) if places else b""
        return b"".join([data + b"\n" for data in _ENVELOPE.findall(whole)])


class NatsMessages:
    """Does the same for the protocol of NATS, whose messages may lie across frames."""

    def __init__(self) -> None:
        self._frames = Lines(end=b"")
        self._rest = b""  # of a line

    def feed(self, chunk: bytes) -> bytes:
        """Return what is new."""
        whole, end, self._rest = (self._rest + self._frames.feed(chunk)).rpartition(b"\n")
        return b"".join([payload + b"\n" for payload in _NATS_PAYLOAD.findall(whole + end)])


class Events:
    """Takes an event stream apart, as it comes: what its events carry, each ended by a newline.

    The chunks of HTTP around them need no look: each has whole events, and its size stands in a line of its own.
    """

    def __init__(self) -> None:
        self._rest = b""  # of a line

    def feed(self, chunk: bytes) -> bytes:
        """Return what is new."""
        whole, end, self._rest = (self._rest + chunk).rpartition(b"\n")
        return b"".join(_DATA.findall(whole + end))


def _head(data: bytes, at: int) -> tuple[int, int] | None:
    """Return the size of the frame at a place and where its payload begins, None where its header is cut off."""
    wanted = {126: 4, 127: 10}.get(data[at + 1] & 127, 2) if at + 1 < len(data) else 2
    if at + wanted > len(data):
        return None
    size = data[at + 1] & 127 if wanted == 2 else int.from_bytes(data[at + 2 : at + wanted], "big")
    return size, at + wanted


def payloads(data: bytes) -> Iterator[bytes]:
    """Return what the whole frames at the start of ``data`` carry."""
    at = 0
    while at + 2 <= len(data):
        size, start = data[at + 1] & 127, at + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        if start + size > len(data):
            return
        yield data[start : start + size]
        at = start + size
