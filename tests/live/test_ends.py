"""How servers end while sessions are open, and how they find peers that vanished."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.live.talking import PATIENCE, PLAIN, client, until
from tests.servers import Serve, Server


@pytest.mark.parametrize("kind", ["hypercorn-asyncio", "hypercorn-trio"])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_hypercorn_ends_with_its_sessions(serve: Serve, kind: str, workers: str) -> None:
    """It tells no application that it ends, and waits for connections: clients are told, as by any restart."""
    with (
        serve("tests.live.app:app", kind=kind, args=["--workers", workers], env={"ASGI_PUSH_SSE": "1"}) as server,
        ThreadPoolExecutor() as thread,
        client(server, "11") as plain,
        connect(server.ws + "/connection/websocket") as sdk,
        httpx.stream("GET", server.http + "/push/events", **PLAIN) as stream,
    ):
        sdk.send('{"id":1,"connect":{}}')
        assert "connect" in str(sdk.recv(PATIENCE))
        stopping = thread.submit(server.stop, PATIENCE)
        codes = []
        for websocket in (plain, sdk):
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(PATIENCE)
            assert closed.value.rcvd is not None
            codes.append(closed.value.rcvd.code)
        assert "disconnect" in stream.read().decode()
        assert codes == [1012, 3001]
        assert stopping.result() != -signal.SIGKILL


def keepalive_is_on(server: Server, port: int) -> bool:
    """Whether the kernel's timer of a connection is that of its keepalive: 2 (Linux: proc_net_tcp.rst)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, _, timer, *_ = line.split()
        ports = [int(end.split(":")[1], 16) for end in (local, remote)]
        if ports == [server.port, port]:
            return timer.startswith("02:")
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="keepalives are turned on where sockets can be found")
def test_a_plain_peer_is_probed(serve: Serve, server_kind: str) -> None:
    """So that one that vanishes is found though it never sent a heartbeat; the first one, and those after it."""
    with serve("tests.live.app:app", kind=server_kind) as server:
        for _ in range(2):
            with client(server, "11") as websocket:
                port = websocket.socket.getsockname()[1]
                until(lambda: keepalive_is_on(server, port))  # noqa: B023
