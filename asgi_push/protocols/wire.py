"""Messages ready to be sent, and the WebSocket frames that carry them."""

import struct
from collections.abc import Sequence
from typing import Protocol

from ..disconnect import Disconnect
from ..messages import JoinLeave, Publication

# FIN and the opcode (RFC 6455, section 5.2).
_TEXT = 0x81
_BINARY = 0x82

# The whole headers of short frames, by size: most messages are short, and need only a look-up.
_SHORT_TEXT = [bytes((_TEXT, size)) for size in range(126)]
_SHORT_BINARY = [bytes((_BINARY, size)) for size in range(126)]

# What the headers of longer ones begin with.
_LONG_TEXT = bytes((_TEXT, 126))
_LONG_BINARY = bytes((_BINARY, 126))


def frame(data: bytes, *, text: bool) -> bytes:
    """Return the one unmasked WebSocket frame of a message (RFC 6455, section 5.2)."""
    size = len(data)
    if size < 126:
        return (_SHORT_TEXT if text else _SHORT_BINARY)[size] + data
    if size < 65_536:
        return (_LONG_TEXT if text else _LONG_BINARY) + size.to_bytes(2, "big") + data
    return struct.pack("!BBQ", _TEXT if text else _BINARY, 127, size) + data


def sent_code(disconnect: Disconnect) -> int:
    """Return the code for a close frame.

    Never 3000: the SDKs take it for a close that their own application asked for.
    """
    return 1000 if disconnect.code == 3000 else disconnect.code


class WireMessage:
    """One message, shared by all its receivers; its other forms are made on first need.

    Attributes:
        shared: the long parts that it has in common with other messages, in their order.
    """

    __slots__ = ("_frame", "_str", "data", "shared", "size", "text")

    def __init__(self, data: bytes, *, text: bool) -> None:
        self.data = data
        self.text = text
        self.size = len(data)
        self._str: str | None = None
        self._frame: bytes | None = None
        self.shared: Sequence[bytes] = ()

    @property
    def content(self) -> str | bytes:
        """The message as ASGI wants it: a str for a text message, bytes for a binary one."""
        if not self.text:
            return self.data
        if self._str is None:
            self._str = self.data.decode()
        return self._str

    @property
    def frame(self) -> bytes:
        """The message in its WebSocket frame."""
        if self._frame is None:
            self._frame = frame(self.data, text=self.text)
        return self._frame


class Codec(Protocol):
    """How one protocol writes publications."""

    @property
    def name(self) -> str: ...

    @property
    def ping(self) -> WireMessage | None:
        """The server's ping, None where the protocol has none."""
        ...

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the close code that says why a session ends."""
        ...

    def encode(self, publication: Publication | JoinLeave) -> WireMessage | None:
        """Return the message of a publication, None if the protocol has no message for it."""
        ...

    def frame(self, publication: Publication) -> bytes:
        """Return the frame of a publication's message, without making the message."""
        ...

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return as few messages as the protocol allows for these, in order."""
        ...
