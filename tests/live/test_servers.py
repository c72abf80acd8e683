"""Everything that the plain protocol promises, on every server."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.live.talking import (
    PATIENCE,
    client,
    ended,
    frame,
    handshake,
    online,
    post,
    raw,
    reset,
    state,
    until,
)
from tests.servers import HOST, Serve, Server

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="module")
def server(serve: Serve, server_kind: str) -> Iterator[Server]:
    with serve("tests.live.app:app", kind=server_kind, env={"ASGI_PUSH_MAX_SESSIONS_PER_USER": "3"}) as server:
        yield server


@pytest.fixture(autouse=True)
def _nobody_left(server: Server) -> Iterator[None]:
    """After each test the registry is as before."""
    post(server, "/forget")
    yield
    until(lambda: state(server)["sessions"] == [])


def test_messages_arrive_as_they_are(server: Server) -> None:
    """A str as it is, JSON as JSON, bytes as a binary message; in order."""
    with client(server, "11") as websocket:
        assert post(server, "/send/11", "plain <b>text</b> \u00e4\u20ac\U0001f600") == {"receivers": 1}
        post(server, "/send/11", {"order": 1})
        post(server, "/send/11?as=binary", "raw")
        received = [websocket.recv(PATIENCE) for _ in range(3)]
    assert received == ["plain <b>text</b> \u00e4\u20ac\U0001f600", '{"order":1}', b"raw"]


def test_heartbeats_are_answered(server: Server) -> None:
    """All three kinds."""
    with client(server, "11") as websocket:
        for sent, answer in [
            ("ping", "pong"),
            ('{"type": "ping", "at": 7}', '{"type":"pong","at":7}'),
            ("HeartBeat", '{"type":"pong"}'),
        ]:
            websocket.send(sent)
            assert websocket.recv(PATIENCE) == answer


def test_several_sessions_of_a_user(server: Server) -> None:
    """All get what is sent; when one leaves, the other stays."""
    with client(server, "11") as first:
        with client(server, "11") as second:
            assert post(server, "/send/11", "both") == {"receivers": 2}
            assert first.recv(PATIENCE) == second.recv(PATIENCE) == "both"
        until(lambda: len(state(server)["sessions"]) == 1)
        assert post(server, "/send/11", "one") == {"receivers": 1}
        assert first.recv(PATIENCE) == "one"


def test_a_client_that_closes_is_gone(server: Server) -> None:
    """The hook is told once."""
    with client(server, "12"):
        pass
    ended(server, "12")


def test_a_client_that_aborts_is_gone(server: Server) -> None:
    """A reset leaves nothing behind."""
    sock = raw(server, "13")
    until(lambda: online(server, "13"))
    reset(sock)
    ended(server, "13")


def test_an_abort_in_the_handshake_leaves_nothing(server: Server) -> None:
    """Neither half a request nor a reset right after it."""
    import socket

    for request in (handshake("/websocket/14")[:40], handshake("/websocket/14")):
        sock = socket.create_connection((HOST, server.port))
        sock.sendall(request)
        reset(sock)
    with client(server, "15"):
        until(lambda: [session["user"] for session in state(server)["sessions"]] == ["15"])


def test_the_server_closes_with_code_and_reason(server: Server) -> None:
    """The client sees both."""
    with client(server, "16") as websocket:
        post(server, "/send/16", "before")
        post(server, "/disconnect/16")
        assert websocket.recv(PATIENCE) == "before"
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
    assert closed.value.rcvd is not None
    reason = "" if server.kind == "daphne" else "asked for"  # it sends none
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4005, reason)
    assert ended(server, "16")["code"] == 4005


def test_a_hook_that_fails_ends_its_session_only(server: Server) -> None:
    """1011 for the one, nothing for the other."""
    with client(server, "17") as websocket, client(server, "18") as other:
        websocket.send("boom")
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == (3004 if server.kind == "daphne" else 1011)
        ended(server, "17")
        other.send("ping")
        assert other.recv(PATIENCE) == "pong"


def test_too_large_a_message_closes(server: Server) -> None:
    """1009, and the application never sees it."""
    with client(server, "19") as websocket:
        websocket.send("x" * 65_537)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == (3009 if server.kind == "daphne" else 1009)
    ended(server, "19")
    assert not [event for event in state(server)["events"] if event["event"] == "message"]


def test_a_foreign_page_is_refused(server: Server) -> None:
    """Before the accept, by 403 on every server."""
    with pytest.raises(InvalidStatus) as refused, connect(f"{server.ws}/websocket/20", origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403


def test_the_own_page_is_let_in(server: Server) -> None:
    """Same host."""
    with client(server, "21", origin=server.http):
        assert online(server, "21")


def test_too_many_sessions_are_refused(server: Server) -> None:
    """By 429 where the server can say so, else by 403."""
    with client(server, "22"), client(server, "22"), client(server, "22"):
        with pytest.raises(InvalidStatus) as refused, connect(f"{server.ws}/websocket/22"):
            pass
        assert refused.value.response.status_code == (403 if server.kind == "daphne" else 429)


def test_other_scopes_pass_through(server: Server) -> None:
    """HTTP beside the WebSocket, and what no route has is the application's to refuse."""
    assert httpx.get(server.http + "/nothing").status_code == 404
    with pytest.raises(InvalidStatus) as refused, connect(f"{server.ws}/other"):
        pass
    assert refused.value.response.status_code == 403


def test_a_websocket_is_no_page(server: Server) -> None:
    """HTTP on its path is told so, by a status that every server sends with its headers."""
    answer = httpx.get(server.http + "/websocket/11")
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert "new WebSocket" in answer.text


def test_garbage_is_no_error_of_the_application(server: Server) -> None:
    """Whatever comes, the log says nothing of ours, and holds no client's line as it came."""
    before = len(server.log())
    for data in (frame(1, b"\xff\xfe"), b"\xff" * 50, frame(3, b"x"), frame(1, b"{" * 9000), frame(8, b"\x00")):
        sock = raw(server, "23")
        sock.sendall(data)
        with suppress(OSError):
            sock.shutdown(1)
            while sock.recv(4096):
                pass
        sock.close()
    with pytest.raises(InvalidStatus), connect(f"{server.ws}/websocket/24", origin="http://a\tforged-line"):
        pass
    until(lambda: state(server)["sessions"] == [])
    log = server.log()[before:]
    assert "asgi_push/" not in log
    assert "\tforged-line" not in log


def test_shutdown_is_bounded(serve: Serve, server_kind: str) -> None:
    """SIGTERM with clients connected: they are closed, the process ends by itself, and no error of ours is logged."""
    with (
        serve("tests.live.app:app", kind=server_kind) as server,
        client(server, "11") as websocket,
        ThreadPoolExecutor(1) as thread,
    ):
        stopped = thread.submit(server.stop, PATIENCE)
        with pytest.raises(ConnectionClosed):
            websocket.recv(PATIENCE)
        assert stopped.result(2 * PATIENCE) != -signal.SIGKILL
        assert "asgi_push/hub" not in server.log()
