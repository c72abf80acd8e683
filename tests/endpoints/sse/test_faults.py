"""Clients of event streams that stop reading, or vanish without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.endpoints.sse.streams import call, ended, publish, sessions, state, stream
from tests.live.other_host import ip, other_host
from tests.live.talking import until
from tests.servers import Serve, find_program

# Reads the beginning, and then what comes.
_READER = """
import sys, socket
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"GET /push/events?user=gone HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
while sock.recv(65536):
    print("some", flush=True)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_vanishes_is_found(serve: Serve, loop: str) -> None:
    """Its link goes down, without a FIN: once a heartbeat stays without an acknowledgement for send_timeout."""
    env = {"ASGI_PUSH_SSE": "true", "ASGI_PUSH_PING_INTERVAL": "0.5", "ASGI_PUSH_SEND_TIMEOUT": "1"}
    with (
        other_host() as (name, address),
        serve("tests.endpoints.sse.app:app", env=env, args=["--host", "0.0.0.0", "--loop", loop]) as server,
    ):
        command = [find_program("ip"), "netns", "exec", name, sys.executable, "-c", _READER, address, f"{server.port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as peer:
            try:
                assert peer.stdout is not None
                assert peer.stdout.readline() == b"some\n"
                assert sessions(server, "gone")
                ip("link", "set", f"{name}a", "down")
                assert ended(server, "gone") == [1006]
            finally:
                peer.kill()


def test_a_client_that_does_not_read_delays_nobody(serve: Serve) -> None:
    """It is closed as a slow one, or for a send that takes too long; the others get everything."""
    env = {"ASGI_PUSH_SSE": "true", "ASGI_PUSH_SEND_TIMEOUT": "1", "ASGI_PUSH_QUEUE_BYTES": "200000"}
    with serve("tests.endpoints.sse.app:app", env=env) as server, stream(server, "user=well&channels=news") as events:
        command = [sys.executable, "-c", _READER, "127.0.0.1", f"{server.port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as peer:
            try:
                assert peer.stdout is not None
                assert peer.stdout.readline() == b"some\n"
                os.kill(peer.pid, signal.SIGSTOP)
                for _ in range(100):
                    call(server, "/send/gone", "x" * 150_000)
                assert publish(server, "news", 3) == events.take(3)
                until(lambda: not sessions(server, "gone"))
                assert {event["code"] for event in state(server)["ended"] if event["user"] == "gone"} <= {3008, 1006}
            finally:
                os.kill(peer.pid, signal.SIGCONT)
                peer.kill()
