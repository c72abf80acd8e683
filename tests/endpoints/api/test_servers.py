"""The API on every server."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.endpoints.api.apps import KEY
from tests.servers import PATIENCE, Serve, Server


@pytest.fixture(scope="module")
def server(serve: Serve, server_kind: str) -> Iterator[Server]:
    with serve("tests.endpoints.api.apps:app", kind=server_kind) as server:
        yield server


def test_a_post_reaches_a_session(server: Server) -> None:
    """One POST of any HTTP client is enough."""
    with connect(server.ws + "/ws", additional_headers={"Authorization": "Bearer ann"}) as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
        fields = {"channel": "#ann", "data": {"order": 7}}
        response = httpx.post(
            server.http + "/push/api/publish", json=fields, headers={"Authorization": f"apikey {KEY}"}
        )
        assert response.json()["result"]["offset"] == 1
        assert client.recv(PATIENCE) == '{"order":7}'


@pytest.mark.parametrize(
    ("method", "body", "key", "status"),
    [
        ("publish", b"{}", "", 401),
        ("publish", b"{", KEY, 400),
        ("nothing", b"{}", KEY, 404),
        ("publish", b" " * 3_000_000, KEY, 413),
    ],
    ids=["key", "body", "method", "size"],
)
def test_what_is_refused(server: Server, method: str, body: bytes, key: str, status: int) -> None:
    """A refusal reaches the client as it is, also where its body was not read to the end."""
    response = httpx.post(f"{server.http}/push/api/{method}", content=body, headers={"X-API-Key": key})
    assert response.status_code == status


def test_a_server_without_lifespan_ends(serve: Serve) -> None:
    """The threads that look through sessions and channels keep no process from ending."""
    with serve("tests.endpoints.api.apps:app", kind="daphne") as server:
        for method in ("sessions", "channels", "info"):
            response = httpx.post(f"{server.http}/push/api/{method}", json={}, headers={"X-API-Key": KEY})
            assert "result" in response.json()
        assert server.stop(PATIENCE) != -signal.SIGKILL
