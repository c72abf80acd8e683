"""Who may read ``/metrics``, and in which formats."""

from __future__ import annotations

import httpx
import pytest

from asgi_push import Push, PushMiddleware
from asgi_push.push import core_of
from tests.asgi import nothing, pushing, serve
from tests.metrics.scraping import get


async def test_off_unless_turned_on() -> None:
    """Without the setting the path is the application's."""
    async with pushing() as (_, server):
        with pytest.raises(AssertionError, match="came through to the application"):
            await get(server.app)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "apikey secret"}, 200),
        ({"x_api_key": "secret"}, 200),
    ],
)
async def test_key(headers: dict[str, str], status: int) -> None:
    """With an api_key only who has it may read."""
    async with pushing(metrics=True, api_key="secret") as (_, server):
        assert (await get(server.app, **headers)).status_code == status


async def test_formats() -> None:
    """A reader that knows OpenMetrics gets it; nobody keeps a copy, and only GET is answered."""
    async with pushing(metrics=True, http_path="/live") as (_, server):
        plain = await get(server.app, "/live/metrics")
        new = await get(server.app, "/live/metrics", accept="application/openmetrics-text; version=1.0.0")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://x") as client:
            assert (await client.post("/live/metrics")).status_code == 405
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.headers["cache-control"] == "no-store"
    assert new.text.endswith("# EOF\n")


async def test_not_running() -> None:
    """On another event loop than push's there is nothing to count: 503."""
    push = Push(metrics=True)
    app = PushMiddleware(nothing, push)
    async with serve(app):
        core_of(push).runner._thread = -5  # as if another thread had it
        try:
            assert (await get(app)).status_code == 503
        finally:
            core_of(push).runner._thread = __import__("threading").get_ident()
