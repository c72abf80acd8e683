"""What is known of this process, over HTTP."""

import os
import socket
from collections.abc import Mapping
from functools import cache
from typing import Any

from ... import clock
from ...hub.hub import Hub
from ...push import Push


async def info(push: Push, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say how much is going on in this process; counted in a thread, as it takes long."""
    return {"nodes": [await push.hub.threads.lookups.run(_node, push.hub)]}


def _node(hub: Hub) -> dict[str, Any]:
    sessions, channels = hub.registry.sessions(), hub.registry.channels()
    return {
        "uid": hub.id,
        "name": f"{socket.gethostname()}_{os.getpid()}",
        "version": package_version(),
        "num_clients": len(sessions),
        "num_users": len({session.user for session in sessions}),
        "num_subs": sum(len(hub.registry.members(channel)) for channel in channels),
        "num_channels": len(channels),
        "uptime": int(clock.monotonic() - hub.started_at),
    }


@cache
def package_version() -> str:
    """Return the version of this package, empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # slow to import, and seldom asked

    try:
        return version("asgi-push")
    except PackageNotFoundError:  # a copy of the sources
        return ""
