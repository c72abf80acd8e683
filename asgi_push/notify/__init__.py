"""Hooks for ``Push(on_undelivered=...)``: they tell someone who is away.

``Apprise`` needs the extra [notify], ``WebPush`` the extra [webpush]. Each imports its library when
it is made, so that one extra does not need the other.
"""

from .apprise import Apprise
from .deliveries import NotifyError
from .message import Message
from .subscriptions import PUSH_SERVICES
from .webpush import WebPush

__all__ = ["PUSH_SERVICES", "Apprise", "Message", "NotifyError", "WebPush"]
