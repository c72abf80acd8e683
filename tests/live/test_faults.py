"""Peers that stop reading, vanish, or come and go by the thousand."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.live.other_host import ip, other_host
from tests.live.talking import PATIENCE, client, ended, frame, online, post, raw, reset, state, until
from tests.servers import KINDS, Serve, find_program

MIB = 1024 * 1024


@pytest.mark.parametrize("policy", ["disconnect", "drop_oldest", "drop_newest"])
def test_a_stuck_client_delays_nobody(serve: Serve, policy: str) -> None:
    """Of 200 clients one does not read while megabytes are sent to it: the others get everything, memory is bounded."""
    env = {"ASGI_PUSH_SLOW_CONSUMER": policy, "ASGI_PUSH_SEND_TIMEOUT": "60", "ASGI_PUSH_HISTORY_SIZE": "0"}
    with serve("tests.live.app:app", env=env) as server, ExitStack() as stack:
        clients = [stack.enter_context(client(server, str(user))) for user in range(199)]
        stuck = stack.enter_context(raw(server, "stuck", buffer=4096))
        until(lambda: online(server, "stuck"))
        before = state(server)["memory"]
        for _ in range(4):
            post(server, "/burst", {"channels": ["*", "#stuck"], "count": 30, "size": 100})
            post(server, "/burst", {"channels": ["#stuck"], "count": 300, "size": 30_000})
            for websocket in clients:
                received = [str(websocket.recv(PATIENCE)) for _ in range(30)]
                assert [message.rstrip(".") for message in received] == [f"* {number:06d}" for number in range(30)]
        # 36 MB were sent to it; what may wait for it is 1 MiB in the queue, and what one write may leave behind.
        assert state(server)["memory"] - before < 12 * MIB
        if policy == "disconnect":
            assert ended(server, "stuck")["reason"] == "slow consumer"
        else:
            reset(stuck)
            assert ended(server, "stuck")["dropped"] > 0


# daphne's send never waits, so nothing tells that a peer has stopped: only heartbeats find it.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "daphne"])
def test_a_stopped_peer_runs_into_the_send_timeout(serve: Serve, kind: str) -> None:
    """A process that is stopped reads nothing: its session ends, whatever the server does with its socket."""
    script = "import sys; from tests.live.talking import *; from tests.servers import Server; import time\n"
    script += "s = raw(Server('', int(sys.argv[1]), None, None), 'frozen', buffer=4096); time.sleep(600)"
    env = {"ASGI_PUSH_SEND_TIMEOUT": "1", "ASGI_PUSH_QUEUE_BYTES": str(64 * MIB), "ASGI_PUSH_QUEUE_MESSAGES": "10000"}
    with (
        serve("tests.live.app:app", kind=kind, env=env) as server,
        subprocess.Popen([sys.executable, "-c", script, str(server.port)]) as frozen,
    ):
        try:
            until(lambda: online(server, "frozen"))
            os.kill(frozen.pid, signal.SIGSTOP)
            with client(server, "11") as healthy:
                post(server, "/burst", {"channels": ["#frozen"], "count": 400, "size": 60_000})
                assert ended(server, "frozen")["reason"] == "send timeout"
                healthy.send("ping")
                assert healthy.recv(PATIENCE) == "pong"
        finally:
            frozen.kill()


_HEARTBEATS = """
import sys, threading, time
from websockets.sync.client import connect
silent = connect(f"ws://{sys.argv[1]}/websocket/silent", compression=None)
loud = connect(f"ws://{sys.argv[1]}/websocket/loud", compression=None)
while True:
    loud.send("ping")
    loud.recv()
    print("pong", flush=True)
    time.sleep(0.2)
"""


@pytest.mark.parametrize(("kind", "args"), [("uvicorn-sansio", ["--ws-ping-interval", "1000"]), ("granian", [])])
def test_a_peer_that_vanishes_is_found(serve: Serve, kind: str, args: list[str]) -> None:
    """Its link goes down, without a FIN: who sent heartbeats is gone within idle_timeout, and so is who never did.

    No server pings here; it is the kernel that asks the silent one.
    """
    env = {"ASGI_PUSH_IDLE_TIMEOUT": "2", "ASGI_PUSH_ALLOWED_ORIGINS": "*"}
    with (
        other_host() as (name, address),
        serve("tests.live.app:app", kind=kind, env=env, args=["--host", "0.0.0.0", *args]) as server,
    ):
        command = [
            find_program("ip"),
            "netns",
            "exec",
            name,
            sys.executable,
            "-c",
            _HEARTBEATS,
            f"{address}:{server.port}",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as peer:
            try:
                assert peer.stdout is not None
                assert peer.stdout.readline() == b"pong\n"
                ip("link", "set", f"{name}a", "down")
                assert ended(server, "loud")["reason"] == "no heartbeat"
                ended(server, "silent")
            finally:
                peer.kill()


def test_2000_connects_and_aborts_leave_nothing(serve: Serve) -> None:
    """No session, no task, and no memory: the second thousand adds less than a tenth of what one session takes each.

    Memory is the resident set after a full collection; the first thousand fills pools and caches.
    """
    with serve("tests.live.app:app") as server:
        tasks = state(server)["tasks"]

        def cycles(count: int) -> int:
            post(server, "/forget")
            for number in range(count):
                sock = raw(server, "11")
                if number % 2:
                    sock.sendall(frame(1, b"ping"))
                reset(sock)
            until(lambda: state(server)["sessions"] == [])
            post(server, "/forget")
            return int(state(server)["memory"])

        first = cycles(1000)
        second = cycles(1000)
        # A worker or two may be parked, and the server's own task serves the request.
        assert until(lambda: state(server)["tasks"] <= tasks + 4)
        assert second - first < 1000 * 2000
