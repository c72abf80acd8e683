"""Frames whose message is compressed once for many receivers (permessage-deflate, RFC 7692).

A sender may compress each message from an empty window, whatever was agreed on. Such a frame means
the same to every receiver whose window is as large, and tells nothing of other messages.
"""

from collections.abc import MutableMapping

from .blocks import MOST_ALONE, Blocks, deflated, worth_compressing
from .wire import WireMessage
from .wire import frame as make_frame

# The first bit that an extension may use: the message is compressed (section 6 of the RFC).
_RSV1 = 0x40

_OPCODE = 0x0F
_TEXT = 1

# What the end of a compressed message is sent without (section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"

# An empty block without that: so ends a message whose last block is not compressed.
_EMPTY_BLOCK = b"\0"

# zlib makes no window of 8 bits.
_WINDOWS = range(9, 16)
# The most frames that are kept. More are distinct ones, for one receiver each.
_MOST = 256

# Compressed frames, by window and the frame as it was.
Frames = MutableMapping[tuple[int, bytes], bytes]


class Deflate:
    """Compresses frames for all receivers with a window of one size."""

    __slots__ = ("_blocks", "_frames", "_window_bits")

    def __init__(self, window_bits: int, frames: Frames, blocks: Blocks) -> None:
        self._window_bits = window_bits
        self._frames = frames
        self._blocks = blocks

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

    def frame_of(self, message: WireMessage) -> bytes:
        """Return the frame of a message with it compressed, or as it is if that is shorter.

        Only the parts that it shares with others are compressed once for all. What is for one
        receiver alone and very long is not compressed.
        """
        if message.shared:
            blocks = self._blocks.compose(message.data, message.shared, self._window_bits)
            data = blocks + _EMPTY_BLOCK
            return _frame(data, text=message.text) if len(data) < message.size else message.frame
        if message.size > MOST_ALONE:
            return message.frame
        return _compress(self._window_bits, message.frame)

    def prepare(self, part: bytes) -> None:
        """Compress a long part of messages before they are sent."""
        self._blocks.of(part, self._window_bits)


def can_compress(window_bits: int) -> bool:
    """Return whether zlib compresses for a window of so many bits."""
    return window_bits in _WINDOWS


def _compress(window_bits: int, frame: bytes) -> bytes:
    message = memoryview(frame)[_header_size(frame) :]
    if not worth_compressing(message):
        return frame
    data = deflated(message, window_bits).removesuffix(_TAIL)
    made = _frame(data, text=frame[0] & _OPCODE == _TEXT)
    return made if len(made) < len(frame) else frame


def _frame(compressed: bytes, *, text: bool) -> bytes:
    made = make_frame(compressed, text=text)
    return bytes((made[0] | _RSV1,)) + made[1:]


def _header_size(frame: bytes) -> int:
    """Return where the message begins in a frame that is not masked (RFC 6455, section 5.2)."""
    return {126: 4, 127: 10}.get(frame[1], 2)
