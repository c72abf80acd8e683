"""The size limits of messages from clients: those of the settings, and the server's own."""

import logging
from typing import Any

from .. import clock
from ..connection import Connection
from ..disconnect import Disconnect
from ..hub.hub import Hub
from ..settings import Settings

# The size of a request for one channel, in bytes: a name of 255, a position, a token of some kB.
CHANNEL_BYTES = 4096

# The most that the requests for all channels may take in one frame, in bytes: uvicorn's limit.
_MAX_CHANNELS_BYTES = 16 * 1024 * 1024

# The channels that a session has beside max_channels: its user's and everybody's.
_OWN_CHANNELS = 2

# The names of the limit in the configurations of servers: uvicorn, Hypercorn.
_SERVERS_NAMES = ("ws_max_size", "websocket_max_message_size")

# The addresses of clients on this machine, beside 127.0.0.0/8; a Unix socket has none.
_THIS_MACHINE = ("", "::1", "localhost")


def frame_bytes(settings: Settings) -> int:
    """Return the size limit of an SDK client's frame, which may ask for all of its channels."""
    asked = (settings.max_channels + _OWN_CHANNELS) * CHANNEL_BYTES
    return settings.max_message_bytes + min(asked, _MAX_CHANNELS_BYTES)


def too_large(data: str | bytes, limit: int) -> bool:
    """Return whether a message has more than ``limit`` bytes."""
    size = len(data)
    if isinstance(data, str) and size <= limit < 4 * size:  # a character is one to four bytes
        size = len(data.encode("utf-8", "surrogatepass"))
    return size > limit


def close_too_large(hub: Hub, session: Connection, size: int, limit: int, settings: str) -> None:
    """Close a session whose client sent too large a message; log which settings limit it."""
    message = "session %s was closed with 1009: it sent %d bytes at once, and %s allow %d"
    args = session.id, size, settings, limit
    hub.intake.quiet.log(logging.WARNING, clock.monotonic(), message, *args)
    hub.close(session, Disconnect.MESSAGE_TOO_LARGE)


def closed_by_server(hub: Hub) -> None:
    """Log that the server closed a connection with 1009, as a message was too large for it."""
    cause = "the server takes no message of that size (uvicorn: --ws-max-size)"
    message = f"a session ended with 1009: {cause}"
    hub.intake.quiet.log(logging.WARNING, clock.monotonic(), message)


def check_server(hub: Hub, send: Any, session: Connection) -> None:
    """Log once if the server's limit is lower than the settings need, or much higher.

    A limit that is much higher is logged at the first session from another machine: who develops on
    this one is in no danger. Where the limit is not known, nothing is logged.
    """
    limit = _limit_of(send)
    intake = hub.intake
    if limit is None or limit in intake.checked_limits:
        return
    here = _on_this_machine(session)
    if here and limit in intake.high_limits:
        return
    settings = hub.settings
    needed = frame_bytes(settings) if settings.centrifuge_path else settings.max_message_bytes
    if here and limit > 2 * needed:
        intake.high_limits.add(limit)
        return
    intake.checked_limits.add(limit)
    _compare(hub, limit, needed)


def _limit_of(send: Any) -> int | None:
    config = getattr(getattr(send, "__self__", None), "config", None)
    for name in _SERVERS_NAMES:
        limit = getattr(config, name, None)
        if isinstance(limit, int):
            return limit
    return None


def _compare(hub: Hub, limit: int, needed: int) -> None:
    if limit < needed:
        _say(
            hub,
            "the server ends a connection with 1009 for a message of more than %d bytes, and"
            " clients may have to send %d (max_message_bytes, and with an SDK max_channels at"
            " once): raise its limit (uvicorn: --ws-max-size)",
            limit,
            needed,
        )
    elif limit > 2 * needed:
        _say(
            hub,
            "a client can make the server keep a message of %d bytes in memory, before"
            " max_message_bytes is looked at: lower the server's limit, to %d or somewhat more"
            " (uvicorn: --ws-max-size %d)",
            limit,
            needed,
            _round_up(needed),
        )


def _on_this_machine(session: Connection) -> bool:
    host = session.remote[0] if session.remote is not None else ""
    return host in _THIS_MACHINE or host.startswith(("127.", "::ffff:127."))


def _round_up(size: int) -> int:
    """Return the next power of two, which is easier to recognise in a command."""
    return 1 << (size - 1).bit_length()


def _say(hub: Hub, message: str, *args: int) -> None:
    hub.intake.once.log(logging.WARNING, clock.monotonic(), message, *args)
