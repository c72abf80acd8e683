from __future__ import annotations

import httpx
import pytest

from tests.examples.running import connected, receive
from tests.servers import Serve

EVERYWHERE = ["state", "scope", "get_push"]


@pytest.mark.parametrize(
    ("app", "below", "ways"),
    [
        ("starlette_inside", "", ["app.state", *EVERYWHERE]),
        ("starlette_wrapped", "", ["app.state", *EVERYWHERE]),
        ("handler_in_mounted", "/sub", EVERYWHERE),
        ("only_in_mounted", "/sub", ["app.state", *EVERYWHERE]),
        ("litestar_inside", "", ["app.state", *EVERYWHERE]),
        ("litestar_wrapped", "", ["app.state", *EVERYWHERE]),
        ("quart_wrapped", "", ["extensions", "scope", "get_push"]),
        ("quart_inside", "", ["extensions", "scope", "get_push"]),
        ("django_wrapped", "", ["scope", "get_push"]),
    ],
)
def test_a_handler_finds_push(serve: Serve, app: str, below: str, ways: list[str]) -> None:
    """Wherever the middleware stands, a handler finds push in all the places that its framework has for such things."""
    path = "/sub/websocket/11" if app == "only_in_mounted" else "/websocket/11"
    with serve(f"tests.examples.places:{app}") as server, connected(server.ws + path) as websocket:
        for way in ways:
            assert httpx.post(f"{server.http}{below}/push/{way}").is_success, way
            assert receive(websocket) == way
