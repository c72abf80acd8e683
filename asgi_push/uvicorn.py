"""A WebSocket protocol for uvicorn that keeps direct writes on, whatever wraps an application.

Run it with ``uvicorn --ws asgi_push.uvicorn:WebSocketProtocol``.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .transports.direct_writes import trusted
from .transports.offer import Offering

__all__ = ["WebSocketProtocol"]


@trusted
class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's ``websockets-sansio``, which tells PushMiddleware of its connection.

    Middlewares that wrap ``send`` see the accept and the close of a WebSocket that PushMiddleware
    takes, and not the data in between. WebSockets of the application itself are as before.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.app = Offering(self.app)
