"""SIGTERM sends the sessions away first, and then the server has it, on every server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.live.talking import PATIENCE, client, post, raw, state, until
from tests.servers import Serve, Server

LONG = 3600.0  # a drain that nobody would wait for

# With workers of its own, hypercorn tells them by other ways than signals that they shall end.
ARGS: dict[str, Sequence[str]] = {
    "hypercorn-asyncio": ["--workers", "0"],
    "hypercorn-trio": ["--workers", "0"],
}


@contextmanager
def draining_server(serve: Serve, kind: str, over: float, args: Sequence[str] = ()) -> Iterator[Server]:
    args = [*ARGS.get(kind, ()), *args]
    with serve("tests.live.app:app", kind=kind, args=args, env={"ASGI_PUSH_DRAIN_TIMEOUT": f"{over}"}) as server:
        yield server


class Listener(threading.Thread):
    """Takes what comes to a client, to its end; a server that closes it is answered meanwhile."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self.messages: list[str | bytes] = []
        self.end: tuple[int, str] | None = None
        self._connection = connection
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.messages.append(self._connection.recv())
        except ConnectionClosed as closed:
            self.end = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (1006, "")

    def leave(self) -> None:
        self._connection.close()


def health(server: Server) -> int:
    return httpx.get(server.http + "/push/health", timeout=PATIENCE).status_code


def test_sigterm_drains_first(serve: Serve, server_kind: str) -> None:
    """Sessions go one after the other while the rest is served; nobody new comes in; then the server ends by itself."""
    many = 30  # one goes each second: the last stays for as long as a busy machine may need to look at the first
    with draining_server(serve, server_kind, float(many)) as server, ExitStack() as stack:
        listeners = [Listener(stack.enter_context(client(server, f"u{number}"))) for number in range(many)]
        assert health(server) == 200
        server.process.terminate()
        until(lambda: health(server) == 503)
        with pytest.raises(InvalidStatus) as refused, connect(f"{server.ws}/websocket/late"):
            pass
        response = refused.value.response
        assert (response.status_code, response.headers.get("retry-after")) == (
            (403, None) if server_kind == "daphne" else (503, "5")
        )
        for listener in listeners[:2]:
            listener.join(PATIENCE)
            assert listener.end == ((3001, "") if server_kind == "daphne" else (1012, "shutdown"))
        assert post(server, f"/send/u{many - 1}", "still here") == {"receivers": 1}
        until(lambda: listeners[-1].messages == ["still here"])
        for listener in listeners[2:]:
            listener.leave()
        # What had no handler of its own ends by the signal itself.
        assert server.process.wait(PATIENCE) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("kind", ["uvicorn-sansio", "granian", "daphne"])
def test_ctrl_c_goes_through(serve: Serve, kind: str) -> None:
    """Who does not want to wait presses it, which all processes of the server are told of."""
    with draining_server(serve, kind, LONG) as server, client(server, "11") as websocket:
        server.process.terminate()
        until(lambda: health(server) == 503)
        os.killpg(server.process.pid, signal.SIGINT)
        with pytest.raises(ConnectionClosed):
            websocket.recv(PATIENCE)
        server.process.wait(PATIENCE)


def test_a_second_sigterm_goes_through(serve: Serve) -> None:
    """One that comes within a second is the same, which a service manager sends to all processes of a service."""
    with draining_server(serve, "uvicorn-sansio", LONG) as server, client(server, "11") as websocket:
        for _ in range(2):
            server.process.terminate()
        until(lambda: health(server) == 503)
        assert server.process.poll() is None  # it is not ended by that

        def ended() -> bool:
            with suppress(httpx.TransportError):
                server.process.terminate()
            return server.process.poll() is not None

        until(ended)
        with pytest.raises(ConnectionClosed):
            websocket.recv(PATIENCE)


def test_a_client_that_does_not_read_holds_nothing_up(serve: Serve) -> None:
    """It gets a moment for its close frame and is dropped: the server would wait for it, and for so long."""
    env = {"ASGI_PUSH_DRAIN_TIMEOUT": "0.1", "ASGI_PUSH_SEND_TIMEOUT": f"{LONG}"}
    with serve("tests.live.app:app", env=env) as server, closing(raw(server, "11", buffer=4096)):

        def stuck() -> bool:
            post(server, "/send/11", "x" * 500_000)
            return any(session["queued"] for session in state(server)["sessions"])

        until(stuck)
        server.process.terminate()
        server.process.wait(PATIENCE)


@pytest.mark.parametrize("over", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["uvicorn-sansio", "granian", "daphne"])
def test_event_streams_end(serve: Serve, kind: str, over: float) -> None:
    """Also without a time for it, as servers wait for a response that is under way; with when to come back."""
    env = {"ASGI_PUSH_DRAIN_TIMEOUT": f"{over}", "ASGI_PUSH_SSE": "true"}
    with (
        serve("tests.live.app:app", kind=kind, env=env) as server,
        httpx.stream("GET", server.http + "/push/events", timeout=PATIENCE) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        until(lambda: state(server)["sessions"])
        server.process.terminate()
        assert list(filter(None, lines))[-1].startswith("retry: ")
        server.process.wait(PATIENCE)


def test_workers_drain_themselves(serve: Serve) -> None:
    """The supervisor passes the signal on; each worker sends its own sessions away."""
    with draining_server(serve, "uvicorn-sansio", 0.5, ["--workers", "2"]) as server, ExitStack() as stack:
        until(lambda: server.log().count("startup complete") == 2)
        listeners = [Listener(stack.enter_context(client(server, f"u{number}"))) for number in range(8)]
        server.process.terminate()
        for listener in listeners:
            listener.join(PATIENCE)
        assert [listener.end for listener in listeners] == [(1012, "shutdown")] * 8
        server.process.wait(PATIENCE)
        assert server.log().count("Application shutdown complete") == 2


def test_without_a_time_nothing_is_held_back(serve: Serve) -> None:
    """The default: the server has its signal at once."""
    with serve("tests.live.app:app") as server, client(server, "11") as websocket:
        server.process.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason != "shutdown"
