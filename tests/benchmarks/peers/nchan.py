"""nchan (C, in nginx): its clients by WebSocket, its publisher by HTTP with requests that do not wait for answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from . import Built, Peer, compact, program

_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

# One process, as all others have. It keeps what a client that is behind still has to get.
_CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
worker_rlimit_nofile 65536;
events {{ worker_connections 32768; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    nchan_message_buffer_length 100000;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        nchan_channel_id all;
        location = /publish {{ nchan_publisher http; }}
        location = /ws {{ nchan_subscriber websocket; nchan_subscriber_first_message newest; }}
    }}
}}
"""


def _build() -> Built:
    publishers = list[program.Requests]()

    @asynccontextmanager
    async def serve(port: int) -> AsyncIterator[int]:
        files = {"nginx.conf": _CONFIGURATION.format(module=_MODULE, port=port)}
        command = program.find("nginx") or "", "-p", ".", "-c", "nginx.conf"
        async with program.running(port, files, command) as pid:
            publishers.append(program.Requests(*await program.connect(port), "POST /publish"))
            yield pid

    async def publish(data: Any) -> None:
        await publishers[0].send(compact(data))

    return Built(program=serve, publish=publish)


def _missing() -> str:
    return "" if program.find("nginx") and _MODULE.exists() else "apt-get install libnginx-mod-nchan"


PEER = Peer("nchan (C, in nginx)", _build, text=compact, compresses=False, pure=False, missing=_missing)
