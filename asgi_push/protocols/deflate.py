"""Frames whose message is compressed once for many receivers (permessage-deflate, RFC 7692).

A sender may compress each message from an empty window, whatever was agreed on. Such a frame means
the same to every receiver whose window is as large, and tells nothing of other messages.
"""

import zlib
from collections.abc import MutableMapping

from .wire import frame as make_frame

# The size of a frame from which on it is compressed, in bytes. JSON shrinks to some 40 % here for
# 8 us, whatever the number of receivers; at a quarter of the size hardly anything is saved.
COMPRESS_FROM = 512

# From this size on speed counts more, as the event loop waits: 7 us a kilobyte instead of 12.
_FAST_FROM = 65_536

# What is compressed first of a long message, to see whether it shrinks: a picture does not, and
# would take 40 us a kilobyte.
_SAMPLE = 1024
_SAMPLE_FROM = 4 * _SAMPLE

_MEMORY_LEVEL = 5

# The first bit that an extension may use: the message is compressed (section 6 of the RFC).
_RSV1 = 0x40

_OPCODE = 0x0F
_TEXT = 1

# What the end of a compressed message is sent without (section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"

# zlib makes no window of 8 bits.
_WINDOWS = range(9, 16)
_LARGEST_WINDOW = 15

# The most frames that are kept. More are distinct ones, for one receiver each.
_MOST = 256

# Compressed frames, by window and the frame as it was.
Frames = MutableMapping[tuple[int, bytes], bytes]


class Deflate:
    """Compresses frames for all receivers with a window of one size."""

    __slots__ = ("_frames", "_window_bits")

    def __init__(self, window_bits: int, frames: Frames) -> None:
        self._window_bits = window_bits
        self._frames = frames

    def compress(self, frame: bytes) -> bytes:
        """Return the frame of a whole message with it compressed, or as it is if that is shorter.

        The result is kept in the mapping that the constructor was given.
        """
        key = self._window_bits, frame
        found = self._frames.get(key)
        if found is None:
            if len(self._frames) >= _MOST:
                self._frames.clear()
            found = self._frames[key] = _compress(*key)
        return found


def can_compress(window_bits: int) -> bool:
    """Return whether zlib compresses for a window of so many bits."""
    return window_bits in _WINDOWS


def compressed_block(data: bytes) -> bytes:
    """Return a block of a deflate stream that fits behind any other; empty if it is no shorter."""
    view = memoryview(data)
    if len(view) >= _SAMPLE_FROM and not _shrinks(view[:_SAMPLE]):
        return b""
    block = _deflated(view, _LARGEST_WINDOW)
    return block if len(block) < len(data) else b""


def _compress(window_bits: int, frame: bytes) -> bytes:
    message = memoryview(frame)[_header_size(frame) :]
    if len(message) >= _SAMPLE_FROM and not _shrinks(message[:_SAMPLE]):
        return frame
    data = _deflated(message, window_bits).removesuffix(_TAIL)
    made = make_frame(data, text=frame[0] & _OPCODE == _TEXT)
    return bytes((made[0] | _RSV1,)) + made[1:] if len(made) < len(frame) else frame


def _header_size(frame: bytes) -> int:
    """Return where the message begins in a frame that is not masked (RFC 6455, section 5.2)."""
    return {126: 4, 127: 10}.get(frame[1], 2)


def _shrinks(sample: memoryview) -> bool:
    return len(zlib.compress(sample, 1)) < len(sample) * 2 // 3


def _deflated(message: memoryview, window_bits: int) -> bytes:
    level = 1 if len(message) >= _FAST_FROM else zlib.Z_DEFAULT_COMPRESSION
    # With the memory that servers give to a window of 12 bits, which takes half the time to set up.
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window_bits, _MEMORY_LEVEL)
    return compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
