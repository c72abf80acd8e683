"""Event streams compressed by gzip (RFC 1952): what streams have in common is compressed once.

A deflate stream (RFC 1951) is a row of blocks. A block that was compressed from an empty window
refers to nothing before it, so it fits into every stream. What is a stream's own, as its ids, goes
between in blocks that are not compressed.
"""

import struct
import zlib
from collections.abc import MutableMapping, Sequence

from .blocks import COMPRESS_FROM, Blocks, compressed_block, stored

# Deflate, without a name, a time or a system.
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

# An empty block, not the last: some readers hand out what they have at these only.
_FLUSH = b"\0\0\0\xff\xff"

# An empty block that is the last.
_LAST = b"\x01\0\0\xff\xff"

# Texts as all streams share them: each piece, compressed if it is long and that helps, else empty,
# and as it is.
Pieces = MutableMapping[bytes, list[tuple[bytes, bytes]]]

# The most texts that are kept.
_MOST = 256


class GzipStream:
    """One compressed stream: the state that its end and its next part need."""

    __slots__ = ("_blocks", "_checksum", "_shared", "_size", "_started")

    def __init__(self, shared: Pieces, blocks: Blocks) -> None:
        self._shared = shared
        self._blocks = blocks
        self._checksum = 0
        self._size = 0
        self._started = False

    def encode(
        self,
        text: bytes,
        shared: bytes,
        mark: bytes,
        own: bytes,
        pieces: Sequence[bytes] = (),
    ) -> bytes:
        """Return a text for this stream; its long pieces are compressed once for all streams.

        The stream stays as it was until ``advance``.

        Args:
            text: the text of this stream.
            shared: the same for all streams, with a mark and a comma where they differ.
            mark: the mark.
            own: what this stream has instead of the mark; if empty, it has no comma either.
            pieces: the parts in common with texts that differ elsewhere, too, in their order.
        """
        if len(text) < COMPRESS_FROM:
            blocks = stored(text)
        elif pieces or (not own and mark in shared):
            blocks = self._blocks.compose(text, pieces)
        else:
            blocks = self._with_own(shared, mark, own)
        return (blocks if self._started else _HEADER + blocks) + _FLUSH

    def _with_own(self, shared: bytes, mark: bytes, own: bytes) -> bytes:
        pieces = self._pieces(shared, mark)
        if len(pieces) == 2 and pieces[0][0] and not pieces[1][0]:
            # Streams are mostly sent one long event and its id: this takes half the time.
            return pieces[0][0] + stored(own + pieces[1][1])
        parts: list[bytes] = []
        waiting = b""
        for number, (block, piece) in enumerate(pieces):
            if number:
                waiting += own
            if block:
                parts += (stored(waiting), block)
                waiting = b""
            else:
                waiting += piece
        return b"".join((*parts, stored(waiting)))

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
