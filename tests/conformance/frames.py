"""WebSocket frames as RFC 6455 has them, read strictly: what a server must not send is a Violation."""

from __future__ import annotations

import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})


class Violation(AssertionError):
    """The server sent what the protocol forbids."""


@dataclass(slots=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool = True
    compressed: bool = False  # RSV1, where permessage-deflate is in use


def masked(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = b"\x37\xfa\x21\x3d"
) -> bytes:
    """One frame from a client, as right or wrong as the caller wants it."""
    head = (0x80 if fin else 0) | rsv << 4 | opcode
    size = len(payload)
    if size < 126:
        header = struct.pack("!BB", head, 0x80 | size)
    elif size < 65_536:
        header = struct.pack("!BBH", head, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", head, 0x80 | 127, size)
    return header + mask + _xor(payload, mask)


def _xor(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class FrameReader:
    """Bytes in, frames out."""

    def __init__(self, *, deflate: bool = False) -> None:
        self._deflate = deflate
        self._buffer = b""
        self._fragmented = False
        self.closed = False  # a close frame came: nothing may come after it

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete now."""
        buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        at = 0
        while (found := self._next(buffer, at)) is not None:
            frame, at = found
            frames.append(frame)
        self._buffer = buffer[at:]
        if self.closed and self._buffer:
            raise Violation(f"{len(self._buffer)} bytes after the close frame: {self._buffer[:40]!r}")
        return frames

    def _next(self, buffer: bytes, at: int) -> tuple[Frame, int] | None:
        if self.closed or len(buffer) < at + 2:
            return None
        head, size = buffer[at], buffer[at + 1]
        at += 2
        if size & 0x80:
            raise Violation("a masked frame from the server")
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < at + width:
                return None
            size = int.from_bytes(buffer[at : at + width], "big")
            at += width
            if size < 126 or (width == 8 and size < 65_536) or size >> 63:
                raise Violation(f"a length of {size} in {width} bytes")
        frame = Frame(head & 0x0F, b"", bool(head & 0x80), bool(head & 0x40))
        self._check(frame, head, size)
        if len(buffer) < at + size:
            return None
        frame.payload = buffer[at : at + size]
        self._follow(frame)
        return frame, at + size

    def _check(self, frame: Frame, head: int, size: int) -> None:
        if head & 0x30 or frame.opcode not in _OPCODES:
            raise Violation(f"a frame that begins with {head:#04x}")
        if frame.compressed and not (self._deflate and frame.opcode in (TEXT, BINARY)):
            raise Violation(f"RSV1 on a frame of opcode {frame.opcode}")
        if frame.opcode >= CLOSE and (not frame.fin or size > 125):
            raise Violation(f"a control frame of {size} bytes, {frame.fin=}")
        if frame.opcode < CLOSE and (frame.opcode == CONTINUATION) != self._fragmented:
            raise Violation(f"opcode {frame.opcode} where {self._fragmented=}")

    def _follow(self, frame: Frame) -> None:
        if frame.opcode < CLOSE:
            self._fragmented = not frame.fin
        self.closed = frame.opcode == CLOSE
