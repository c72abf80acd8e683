"""Real-time push for any ASGI application."""

from .credentials import Credentials
from .disconnect import Disconnect
from .errors import (
    AuthenticationError,
    BrokerError,
    NoAnswerError,
    NotRunningError,
    PushError,
    RpcError,
    SettingsError,
    TokenExpiredError,
    UnrecoverablePosition,
)
from .location import get_push
from .message_types import Messages
from .messages import (
    ChannelOptions,
    ClientInfo,
    History,
    PresenceStats,
    Publication,
    PublishResult,
    StreamPosition,
)
from .middleware import PushMiddleware
from .push import Push
from .session import Session
from .settings import Settings

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "BrokerError",
    "ChannelOptions",
    "ClientInfo",
    "Credentials",
    "Disconnect",
    "History",
    "Messages",
    "NoAnswerError",
    "NotRunningError",
    "PresenceStats",
    "Publication",
    "PublishResult",
    "Push",
    "PushError",
    "PushMiddleware",
    "RpcError",
    "Session",
    "Settings",
    "SettingsError",
    "StreamPosition",
    "TokenExpiredError",
    "UnrecoverablePosition",
    "get_push",
]
