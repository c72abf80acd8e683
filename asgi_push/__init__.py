"""Real-time push for any ASGI application."""

from .disconnect import Disconnect
from .errors import (
    AuthenticationError,
    BrokerError,
    NotRunningError,
    PushError,
    SettingsError,
    UnrecoverablePosition,
)
from .messages import (
    ChannelOptions,
    ClientInfo,
    Credentials,
    History,
    PresenceStats,
    Publication,
    PublishResult,
    StreamPosition,
)
from .middleware import PushMiddleware, get_push
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
    "NotRunningError",
    "PresenceStats",
    "Publication",
    "PublishResult",
    "Push",
    "PushError",
    "PushMiddleware",
    "Session",
    "Settings",
    "SettingsError",
    "StreamPosition",
    "UnrecoverablePosition",
    "get_push",
]
