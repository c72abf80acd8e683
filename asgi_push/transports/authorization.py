"""Asks the application whether a client may do something in a channel."""

from typing import Any

from ..connection import Connection
from ..core import Core
from ..hub.hub import Hub
from ..inbound.hooks import call_at_once, call_hook


async def ask_authorize(
    core: Core, hub: Hub, session: Connection, channel: str, action: str
) -> Any:
    """Return what the hook ``authorize`` says, which is true or not; False without the hook.

    Raises:
        HookFailed: it raised what is no Exception.
        Exception: whatever else it raised.
    """
    authorize = core.authorize
    if authorize is None:
        return False
    if core.authorizes_at_once:
        return call_at_once(authorize, session, channel, action)
    return await call_hook(hub.threads.authorize, authorize, session, channel, action)
