"""Event streams compressed by gzip (RFC 1952): what streams have in common is compressed once.

A deflate stream (RFC 1951) is a row of blocks. A block that was compressed from an empty window
refers to nothing before it, so it fits into every stream. What is a stream's own, as its ids, goes
between in blocks that are not compressed.
"""

import struct
import zlib
from collections.abc import MutableMapping

from .deflate import COMPRESS_FROM, compressed_block

# Deflate, without a name, a time or a system.
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

# An empty block, not the last: some readers hand out what they have at these only.
_FLUSH = b"\0\0\0\xff\xff"

# An empty block that is the last.
_LAST = b"\x01\0\0\xff\xff"

_MOST_STORED = 65_535

# Texts as all streams share them: each piece, compressed if it is long and that helps, else empty,
# and as it is.
Pieces = MutableMapping[bytes, list[tuple[bytes, bytes]]]

# The most texts that are kept.
_MOST = 256


class GzipStream:
    """One compressed stream: the state that its end and its next part need."""

    __slots__ = ("_checksum", "_shared", "_size", "_started")

    def __init__(self, shared: Pieces) -> None:
        self._shared = shared
        self._checksum = 0
        self._size = 0
        self._started = False

    def encode(self, text: bytes, shared: bytes, mark: bytes, own: bytes) -> bytes:
        """Return a text for this stream; its long pieces are compressed once for all streams.

        The stream stays as it was until ``advance``.

        Args:
            text: the text of this stream.
            shared: the same for all streams, with a mark and a comma where they differ.
            mark: the mark.
            own: what this stream has instead of the mark; if empty, it has no comma either.
        """
        if self._started and len(text) < COMPRESS_FROM:
            return _stored(text) + _FLUSH
        parts = [] if self._started else [_HEADER]
        stored = b""
        for number, (block, piece) in enumerate(self._pieces(shared, mark)):
            if number:
                stored += own
            if number and not own:
                stored += piece[1:]
            elif block:
                parts += (_stored(stored), block)
                stored = b""
            else:
                stored += piece
        parts += (_stored(stored), _FLUSH)
        return b"".join(parts)

    def advance(self, text: bytes) -> None:
        """Move on behind a text that was sent."""
        self._started = True
        self._checksum = zlib.crc32(text, self._checksum)
        self._size += len(text)

    def end(self) -> bytes:
        """Return the end of the stream."""
        return _LAST + struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF)

    def _pieces(self, shared: bytes, mark: bytes) -> list[tuple[bytes, bytes]]:
        found = self._shared.get(shared)
        if found is None:
            if len(self._shared) >= _MOST:
                self._shared.clear()
            found = self._shared[shared] = [
                (compressed_block(piece) if len(piece) >= COMPRESS_FROM else b"", piece)
                for piece in shared.split(mark)
            ]
        return found


def _stored(data: bytes) -> bytes:
    """Return data in blocks that are not compressed (RFC 1951, section 3.2.4)."""
    if len(data) <= _MOST_STORED:
        size = len(data)
        return struct.pack("<BHH", 0, size, size ^ 0xFFFF) + data if data else b""
    parts = [data[at : at + _MOST_STORED] for at in range(0, len(data), _MOST_STORED)]
    return b"".join(map(_stored, parts))
