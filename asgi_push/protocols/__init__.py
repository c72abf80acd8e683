"""What the messages look like on the wire: bytes in, messages out; pure."""

from .wire import Codec, WireMessage, frame

__all__ = ["Codec", "WireMessage", "frame"]
