"""How large what a client sends may be: what follows from the settings, and what the server itself takes."""

import logging
from typing import Any

from .. import clock
from ..connection import Connection
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..settings import Settings

# What asking for one channel may take, in bytes: a name of 255, a position, and a token of some kB.
CHANNEL_BYTES = 4096

# What all channels of a frame may take at most, in bytes, however many a session may have: what uvicorn takes.
_MAX_CHANNELS_BYTES = 16 * 1024 * 1024

# Those that a session is in beside max_channels: its user's and everybody's.
_OWN_CHANNELS = 2

# How servers call the largest message that they take, in their configurations: uvicorn, Hypercorn.
_SERVERS_NAMES = ("ws_max_size", "websocket_max_message_size")


def frame_bytes(settings: Settings) -> int:
    """Return how large a frame of an SDK client may be, which asks for all of its channels in one."""
    asked = (settings.max_channels + _OWN_CHANNELS) * CHANNEL_BYTES
    return settings.max_message_bytes + min(asked, _MAX_CHANNELS_BYTES)


def too_large(data: str | bytes, limit: int) -> bool:
    """Whether a message has more than ``limit`` bytes."""
    size = len(data)
    if isinstance(data, str) and size <= limit < 4 * size:  # a character is one to four bytes
        size = len(data.encode("utf-8", "surrogatepass"))
    return size > limit


def close_too_large(hub: Hub, session: Connection, size: int, limit: int, settings: str) -> None:
    """Close the session of a client whose message is too large, and log the settings that say so."""
    message = "session %s was closed with 1009: it sent %d bytes at once, and %s allow %d"
    hub.intake.quiet.log(logging.WARNING, clock.monotonic(), message, session.id, size, settings, limit)
    hub.close(session, Disconnect.MESSAGE_TOO_LARGE)


def closed_by_server(hub: Hub) -> None:
    """Log that a connection ended with 1009, as it does where a message is larger than the server itself takes."""
    message = "a session ended with 1009: the server takes no message of that size (uvicorn: --ws-max-size)"
    hub.intake.quiet.log(logging.WARNING, clock.monotonic(), message)


def check_server(hub: Hub, send: Any) -> None:
    """Log once if the server takes much more than the settings allow, or less, where its limit can be known."""
    config = getattr(getattr(send, "__self__", None), "config", None)
    limits = [limit for name in _SERVERS_NAMES if isinstance(limit := getattr(config, name, None), int)]
    if not limits:
        return
    settings = hub.settings
    needed = frame_bytes(settings) if settings.centrifuge_path else settings.max_message_bytes
    if limits[0] < needed:
        _say(
            hub,
            "the server ends a connection with 1009 for a message of more than %d bytes, and clients may have to send "
            "%d (max_message_bytes, and with an SDK max_channels at once): raise its limit (uvicorn: --ws-max-size)",
            limits[0],
            needed,
        )
    elif limits[0] > 2 * needed:
        _say(
            hub,
            "the server takes messages of up to %d bytes into memory before max_message_bytes is looked at: lower its "
            "limit to %d or somewhat more (uvicorn: --ws-max-size)",
            limits[0],
            needed,
        )


def _say(hub: Hub, message: str, *args: int) -> None:
    hub.intake.once.log(logging.WARNING, clock.monotonic(), message, *args)
