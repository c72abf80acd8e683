"""What a soak serves: an application that publishes when it is told to, and says how it is.

`uvicorn tests.soak.app:app`; settings come from the environment.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_push import BrokerError, Push, PushMiddleware
from tests.holds import Holds
from tests.soak.publishing import publish_to

push = Push(
    authenticate=lambda connection: connection.query_params.get("user"),
    authorize=lambda session, channel, action: True,
    on_message=lambda session, data: None,
)


holds = Holds()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(holds.watch())
    yield
    task.cancel()


async def publish(request: Request) -> JSONResponse:
    order = await request.json()
    try:
        position = await publish_to(push, order["channel"], order["data"], order["key"])
    except BrokerError as error:
        return JSONResponse({"error": str(error)}, 503)
    return JSONResponse(position)


async def sessions(request: Request) -> JSONResponse:
    return JSONResponse(len(push.sessions()))


async def state(request: Request) -> JSONResponse:
    """What there is when nobody is connected, after a collection of garbage."""
    longest = holds.take()
    gc.collect()
    found: dict[str, Any] = {
        "pid": os.getpid(),
        "memory": psutil.Process().memory_info().rss,
        "objects": len(gc.get_objects()),
        "tasks": len(asyncio.all_tasks()),
        "files": psutil.Process().num_fds(),
        **longest,
    }
    holds.take()  # the collection is none of theirs
    return JSONResponse(found)


routes = [
    Route("/publish", publish, methods=["POST"]),
    Route("/sessions", sessions),
    Route("/state", state),
]
app = PushMiddleware(Starlette(routes=routes, lifespan=lifespan), push=push)
