"""What the kernel does to find peers that vanished without a word, above all TCP keepalives.

uvicorn and Daphne ping each WebSocket, Hypercorn and Granian by default none, and a plain client
need not send heartbeats. So the sockets of the server's port get TCP keepalives: the listening
one, from which later connections inherit them (Linux), and the connections that there are.
"""

import os
import socket
import stat
import sys
from contextlib import suppress
from typing import Any

import anyio
from starlette.types import Scope

from ..hub.hub import Hub
from ..runtime.threads import Threads

# A connection ends after this many unanswered probes, which take two thirds of the time.
_PROBES = 5

# The time until the second look, in seconds, for connections that waited to be accepted before.
_AGAIN = 10.0

# Of a Unix socket, which has no port.
_NO_SERVER = (None, None)


def probe_peers(hub: Hub, scope: Scope) -> None:
    """Probe the peers of a session's server port: a silent cut is found in ``idle_timeout``.

    It is done once for each port, and only on Linux.
    """
    port = (scope.get("server") or _NO_SERVER)[1]
    if port in hub.probed_ports:
        return
    hub.probed_ports.add(port)
    number = str(port)  # Granian gives it as text
    if sys.platform == "linux" and number.isdecimal():
        hub.spawn(_probe, hub.threads.others, int(number), hub.settings.idle_timeout)


async def _probe(threads: Threads, port: int, seconds: float) -> None:
    await threads.run(keep_alive, port, seconds)
    await anyio.sleep(_AGAIN)
    await threads.run(keep_alive, port, seconds)


def keep_alive(port: int, seconds: float) -> None:
    """Turn on TCP keepalive for all sockets of this process that are bound to ``port``.

    A connection ends if its peer is silent for a third of ``seconds`` and then answers no probe.
    """
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it is closed by now, or of another kind
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as found:
                    _keep_alive(found, port, seconds)


def _keep_alive(found: socket.socket, port: int, seconds: float) -> None:
    if found.family not in (socket.AF_INET, socket.AF_INET6) or found.getsockname()[1] != port:
        return
    options: dict[Any, int] = {
        socket.TCP_KEEPIDLE: max(1, int(seconds / 3)),
        socket.TCP_KEEPINTVL: max(1, int(seconds * 2 / 3 / _PROBES)),
        socket.TCP_KEEPCNT: _PROBES,
    }
    for option, value in options.items():
        found.setsockopt(socket.IPPROTO_TCP, option, value)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def limit_silence(peer: Any, seconds: float) -> None:
    """End a connection when nothing that was sent is acknowledged for ``seconds`` (on Linux).

    Without it the kernel tries for a quarter of an hour (tcp_retries2), and nothing else finds a
    peer that has vanished and never says anything.
    """
    if (
        peer is not None
        and peer.family in (socket.AF_INET, socket.AF_INET6)
        and hasattr(socket, "TCP_USER_TIMEOUT")
    ):
        milliseconds = min(round(seconds * 1000), 2**31 - 1)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
