"""Event streams compressed by gzip (RFC 1952): what streams have in common is compressed once.

A deflate stream (RFC 1951) is a row of blocks. A block that was compressed from an empty window
refers to nothing before it, so it fits into every stream. What is a stream's own, as its ids, goes
between in blocks that are not compressed.
"""

import struct
import zlib
from collections.abc import Iterable

from .deflate import COMPRESS_FROM, Frames, compressed_block, keep

# Deflate, without a name, a time or a system.
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

# An empty block, not the last: some readers hand out what they have at these only.
_FLUSH = b"\0\0\0\xff\xff"

# An empty block that is the last.
_LAST = b"\x01\0\0\xff\xff"

_MOST_STORED = 65_535

# Stands among frames for a block of a stream, which needs no window of its own.
_BLOCK = 0


class GzipStream:
    """One compressed stream: the state that its end and its next part need."""

    __slots__ = ("_checksum", "_frames", "_size", "_started")

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._checksum = 0
        self._size = 0
        self._started = False

    def encode(self, text: bytes, pieces: Iterable[bytes]) -> bytes:
        """Return a text, of which ``pieces`` are given, for this stream.

        Long pieces are compressed, once for all streams that have the same ones. The stream stays
        as it was until ``advance``.
        """
        if self._started and len(text) < COMPRESS_FROM:
            return _stored(text) + _FLUSH
        parts = [] if self._started else [_HEADER]
        own = b""
        for piece in pieces:
            block = self._block(piece) if len(piece) >= COMPRESS_FROM else b""
            if block:
                parts += (_stored(own), block)
                own = b""
            else:
                own += piece
        parts += (_stored(own), _FLUSH)
        return b"".join(parts)

    def advance(self, text: bytes) -> None:
        """Move on behind a text that was sent."""
        self._started = True
        self._checksum = zlib.crc32(text, self._checksum)
        self._size += len(text)

    def end(self) -> bytes:
        """Return the end of the stream."""
        return _LAST + struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF)

    def _block(self, piece: bytes) -> bytes:
        key = _BLOCK, piece
        found = self._frames.get(key)
        return keep(self._frames, key, compressed_block(piece)) if found is None else found


def _stored(data: bytes) -> bytes:
    """Return data in blocks that are not compressed (RFC 1951, section 3.2.4)."""
    if len(data) <= _MOST_STORED:
        size = len(data)
        return struct.pack("<BHH", 0, size, size ^ 0xFFFF) + data if data else b""
    parts = [data[at : at + _MOST_STORED] for at in range(0, len(data), _MOST_STORED)]
    return b"".join(map(_stored, parts))
