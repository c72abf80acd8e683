"""What the messages look like on the wire: bytes in, messages out; pure."""

from .deflate import Deflate
from .wire import Codec, WireMessage, frame

__all__ = ["Codec", "Deflate", "WireMessage", "frame"]
