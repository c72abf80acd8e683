"""``/health``: whether a process takes sessions."""

from __future__ import annotations

import anyio
import httpx

from asgi_push import Push, PushMiddleware
from asgi_push.push import core_of
from tests.asgi import nothing, pushing, until


async def ask(app: PushMiddleware, method: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http:
        return await http.request(method, path)


async def test_health() -> None:
    """200 while sessions are taken, 503 with the first moment of a drain; for everybody, as it discloses nothing."""
    async with pushing(http_path="/here") as (push, server), anyio.create_task_group() as tasks:
        response = await ask(server.app, "GET", "/here/health")
        assert (response.status_code, response.text) == (200, "ok")
        assert (await ask(server.app, "HEAD", "/here/health")).status_code == 200
        assert (await ask(server.app, "POST", "/here/health")).status_code == 405
        await server.connect("/ws/alice")
        tasks.start_soon(push.drain, 3600)
        await until(lambda: not core_of(push).hub.accepting)
        response = await ask(server.app, "GET", "/here/health")
        assert (response.status_code, response.text, response.headers["retry-after"]) == (503, "draining", "5")
        tasks.cancel_scope.cancel()


async def test_health_of_a_path_of_the_root() -> None:
    """``http_path`` may be the root itself."""
    push = Push(http_path="/")
    async with push:
        assert (await ask(PushMiddleware(nothing, push), "GET", "/health")).status_code == 200
