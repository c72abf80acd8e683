"""The API in process: requests without a socket, next to sessions without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from asgi_push import Push
from tests import asgi

KEY = "s3cret"


@dataclass(frozen=True, slots=True)
class Api:
    push: Push
    server: asgi.Server
    http: httpx.AsyncClient

    async def post(self, method: str, **fields: Any) -> Any:
        """Call a method and return the JSON of its answer."""
        response = await self.http.post(f"/push/api/{method}", json=fields)
        assert response.status_code == 200, response.text
        return response.json()

    async def error(self, method: str, **fields: Any) -> tuple[int, str]:
        """Call a method that answers with an error; return its code and message."""
        answer = await self.post(method, **fields)
        assert set(answer) == {"error"}
        return answer["error"]["code"], answer["error"]["message"]


@asynccontextmanager
async def api(headers: Mapping[str, str] | None = None, **options: Any) -> AsyncIterator[Api]:
    """A Push with the HTTP API and who has its key; sessions take their user from the path, as ``/ws/alice``."""
    async with asgi.pushing(**({"api_key": KEY} | options)) as (push, server):
        transport = httpx.ASGITransport(server.app, raise_app_exceptions=True)
        given = {"X-API-Key": KEY} if headers is None else headers
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=given) as http:
            yield Api(push, server, http)
