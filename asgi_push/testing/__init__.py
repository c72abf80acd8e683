"""For the tests of an application: what was sent to whom, and clients on the test's event loop."""

from .recording import Sent, SentItem, record
from .server import Server, serve
from .websocket import Refused, WebSocket

__all__ = ["Refused", "Sent", "SentItem", "Server", "WebSocket", "record", "serve"]
