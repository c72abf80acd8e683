"""The end of Hypercorn, which it does not announce; only this module knows Hypercorn's internals.

Hypercorn stops listening and waits for its connections: from Python 3.12 on until the last one is
closed, before for ``--graceful-timeout``, after which it cancels them. Sessions do not close by
themselves.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakSet

from ..core import Core
from ..errors import NotRunningError
from ..hub.hub import Hub
from ..runner.drain import drain
from .wrapped import behind

_SERVER = "hypercorn"
_STREAMS = "hypercorn.protocol.ws_stream", "hypercorn.protocol.http_stream"

_watched: WeakSet[Hub] = WeakSet()


def drain_at_the_end_of_hypercorn(core: Core, send: Any) -> None:
    """Drain the sessions over ``drain_timeout`` when Hypercorn ends, if it is the server."""
    if _SERVER not in sys.modules or (ended := _ended(send)) is None:
        return
    try:
        hub = core.hub
    except NotRunningError:
        return
    if hub not in _watched:
        _watched.add(hub)
        hub.spawn(_drain, hub, ended, core.settings.drain_timeout)


def _ended(send: Any) -> Callable[[], Awaitable[None]] | None:
    """Return a function that waits for the event which Hypercorn sets first when it ends."""
    stream = behind(send, _STREAMS)
    event = getattr(getattr(stream, "context", None), "terminated", None)
    return getattr(event, "wait", None)


async def _drain(hub: Hub, ended: Callable[[], Awaitable[None]], over: float) -> None:
    await ended()
    await drain(hub, over)
