from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidHandshake

from tests.examples.running import RunExample, connect, connected, receive
from tests.servers import Serve, Server

OWN_WEBSOCKETS = ["starlette_app.py", "fastapi_app.py", "quart_app.py", "litestar_app.py"]
FRAMEWORKS = [*OWN_WEBSOCKETS, "django_app.py"]  # Django itself has none


@pytest.fixture(scope="module", params=FRAMEWORKS)
def server(request: pytest.FixtureRequest, run_example: RunExample) -> Iterator[Server]:
    with run_example(request.param) as server:
        yield server


def test_a_push_from_a_handler_reaches_its_user(server: Server) -> None:
    """An HTTP handler of the framework pushes to one user, all their sessions, and to nobody else."""
    with (
        connected(f"{server.ws}/websocket/11") as one,
        connected(f"{server.ws}/websocket/11") as the_same,
        connected(f"{server.ws}/websocket/12") as other,
    ):
        shipped = httpx.post(f"{server.http}/orders/7/ship")
        assert shipped.is_success
        assert shipped.json() == {"receivers": 2}
        for websocket in (one, the_same):
            assert json.loads(receive(websocket)) == {"order": 7, "status": "shipped"}
        assert httpx.post(f"{server.http}/orders/8/ship").json() == {"receivers": 1}
        assert json.loads(receive(other)) == {"order": 8, "status": "shipped"}


def test_other_paths_belong_to_the_application(server: Server) -> None:
    """A path that the application does not have is answered by the application."""
    assert httpx.get(f"{server.http}/no/such/page").status_code == 404
    with pytest.raises(InvalidHandshake):
        connect(f"{server.ws}/no/such/path")


@pytest.mark.parametrize("server", OWN_WEBSOCKETS, indirect=True)
def test_other_websockets_belong_to_the_application(server: Server) -> None:
    """A WebSocket of the application's own works beside those of the middleware."""
    with connect(f"{server.ws}/echo") as websocket:
        websocket.send("ping")
        assert receive(websocket) == "ping"


def test_a_sync_view_of_django_pushes(run_example: RunExample) -> None:
    """A view that cannot await pushes through push.blocking."""
    with run_example("django_app.py") as server, connected(f"{server.ws}/websocket/11") as websocket:
        assert httpx.post(f"{server.http}/orders/7/cancel").json() == {"receivers": 1}
        assert json.loads(receive(websocket)) == {"order": 7, "status": "cancelled"}


def test_every_server_serves_an_example(serve: Serve, server_kind: str) -> None:
    """An example is bound to no server: each of them can serve it."""
    with (
        serve("examples.fastapi_app:app", kind=server_kind) as server,
        connected(f"{server.ws}/websocket/11") as websocket,
    ):
        assert httpx.post(f"{server.http}/orders/7/ship").json() == {"receivers": 1}
        assert json.loads(receive(websocket)) == {"order": 7, "status": "shipped"}
