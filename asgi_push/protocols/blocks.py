"""Blocks of a deflate stream (RFC 1951) that fit behind any others.

A block that was compressed from an empty window refers to nothing before it. So what many messages
have in common is compressed once for all of them, and what is a message's own stands between.
"""

import struct
import zlib
from collections import OrderedDict
from collections.abc import Sequence

# The size from which on something is compressed, in bytes. JSON shrinks to some 40 % here for 8 us,
# whatever the number of receivers; at a quarter of the size hardly anything is saved.
COMPRESS_FROM = 512

# The most that is compressed for one receiver alone, in bytes: the event loop waits for 2 ms.
MOST_ALONE = 256 * 1024

# Event streams have no other window.
LARGEST_WINDOW = 15

# From this size on speed counts more, as the event loop waits: 7 us a kilobyte instead of 12.
_FAST_FROM = 65_536

# What is compressed first of a long message, to see whether it shrinks: a picture does not, and
# would take 40 us a kilobyte.
_SAMPLE = 1024
_SAMPLE_FROM = 4 * _SAMPLE

# The most that is kept, in bytes.
_MOST_KEPT = 8 * 1024 * 1024

# How much of a piece is looked for first, and how far from the last one it is, in bytes.
_BEGIN = 64
_NEAR = 1024

_MEMORY_LEVEL = 5

_stored_header = struct.Struct("<BHH").pack
_MOST_STORED = 65_535


class Blocks:
    """The blocks of what clients that come back are sent, for windows of all sizes.

    They are kept for a while, up to some bytes: such clients mostly miss the same.
    """

    __slots__ = ("_bytes", "_found")

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()
        self._bytes = 0

    def of(self, data: bytes, window_bits: int = LARGEST_WINDOW) -> bytes:
        """Return a block with data compressed; empty if it is no shorter."""
        key = window_bits, data
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
            return found
        found = self._found[key] = compressed_block(data, window_bits)
        self._bytes += len(data) + len(found)
        while self._bytes > _MOST_KEPT:
            (_, old), block = self._found.popitem(last=False)
            self._bytes -= len(old) + len(block)
        return found

    def compose(
        self, data: bytes, pieces: Sequence[bytes], window_bits: int = LARGEST_WINDOW
    ) -> bytes:
        """Return the blocks of a message that has these pieces in it, in their order.

        What is between them is compressed for this message alone, if it is long. A piece that is
        not found there is taken for the message's own.
        """
        parts: list[bytes] = []
        at = 0
        for piece in pieces:
            found = _find(data, piece, at)
            if found >= 0:
                block = self.of(piece, window_bits) or stored(piece)
                parts += (_own(data[at:found], window_bits), block)
                at = found + len(piece)
        parts.append(_own(data[at:], window_bits))
        return b"".join(parts)


def _find(data: bytes, part: bytes, start: int) -> int:
    # To look for much CPython prepares itself for 100 us, and mostly the part begins here.
    found = data.find(part[:_BEGIN], start, start + _NEAR)
    if found >= 0 and data.startswith(part, found):
        return found
    return data.find(part, start)


def _own(data: bytes, window_bits: int) -> bytes:
    if COMPRESS_FROM <= len(data) <= MOST_ALONE:
        return compressed_block(data, window_bits) or stored(data)
    return stored(data)


def compressed_block(data: bytes, window_bits: int = LARGEST_WINDOW) -> bytes:
    """Return a block with data compressed; empty if it is no shorter."""
    view = memoryview(data)
    block = deflated(view, window_bits) if worth_compressing(view) else b""
    return block if len(block) < len(data) else b""


def stored(data: bytes) -> bytes:
    """Return data in blocks that are not compressed (RFC 1951, section 3.2.4)."""
    if len(data) <= _MOST_STORED:
        size = len(data)
        return _stored_header(0, size, size ^ 0xFFFF) + data if data else b""
    parts = [data[at : at + _MOST_STORED] for at in range(0, len(data), _MOST_STORED)]
    return b"".join(map(stored, parts))


def worth_compressing(data: memoryview) -> bool:
    """Return whether data shrinks, as far as its begin tells."""
    return len(data) < _SAMPLE_FROM or _shrinks(data[:_SAMPLE])


def _shrinks(sample: memoryview) -> bool:
    return len(zlib.compress(sample, 1)) < len(sample) * 2 // 3


def deflated(data: memoryview, window_bits: int) -> bytes:
    """Return data compressed from an empty window, up to the end of a byte."""
    compressor = _compressor(len(data), window_bits)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _compressor(size: int, window_bits: int) -> "zlib._Compress":
    level = 1 if size >= _FAST_FROM else zlib.Z_DEFAULT_COMPRESSION
    # With the memory that servers give to a window of 12 bits, which takes half the time to set up.
    return zlib.compressobj(level, zlib.DEFLATED, -window_bits, _MEMORY_LEVEL)
