"""What the tests of real servers run: an application that pushes when it is asked to, and tells what it saw.

`uvicorn tests.live.app:app`; settings come from the environment, as in production.
"""

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_push import Disconnect, Push, PushMiddleware, Session

EVENTS: list[dict[str, Any]] = []


def on_connect(session: Session) -> None:
    EVENTS.append({"event": "connect", "session": session.id, "user": session.user})


def on_disconnect(session: Session, disconnect: Disconnect) -> None:
    event = {"event": "disconnect", "session": session.id, "user": session.user}
    EVENTS.append(event | {"code": disconnect.code, "reason": disconnect.reason, "dropped": session.dropped})


async def on_message(session: Session, data: str | bytes) -> None:
    if data == "boom":
        raise RuntimeError("the application's own failure")
    EVENTS.append({"event": "message", "user": session.user, "size": len(data)})


push = Push(
    on_connect=on_connect,
    on_disconnect=on_disconnect,
    on_message=on_message,
    authorize=lambda session, channel, action: True,
    **({} if "ASGI_PUSH_PATH" in os.environ else {"path": "/websocket/{user_id}"}),
)


async def send(request: Request) -> JSONResponse:
    """Send JSON, or with ?as=binary the bytes of it, to a user."""
    data = await request.json()
    binary = request.query_params.get("as") == "binary"
    result = await push.send_to_user(request.path_params["user"], data.encode() if binary else data)
    return JSONResponse({"receivers": result.receivers})


async def burst(request: Request) -> JSONResponse:
    """Publish so many numbered messages of a size to each of several channels, from one task a channel."""
    order = await request.json()

    async def publish(channel: str) -> None:
        for number in range(order["count"]):
            await push.publish(channel, f"{channel} {number:06d}".ljust(order["size"], "."))

    async with anyio.create_task_group() as tasks:
        for channel in order["channels"]:
            tasks.start_soon(publish, channel)
    return JSONResponse({})


async def disconnect(request: Request) -> JSONResponse:
    """Close a user's sessions."""
    await push.disconnect(request.path_params["user"], disconnect=Disconnect(4005, "asked for"))
    return JSONResponse({})


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def state(request: Request) -> JSONResponse:
    """Tell what there is: sessions, what the hooks were told, tasks, memory."""
    gc.collect()
    tasks = len(asyncio.all_tasks()) if "trio" not in sys.modules else -1
    memory = _resident()
    sessions = [{"user": session.user, "queued": session.queue is not None} for session in push.sessions()]
    return JSONResponse({"sessions": sessions, "events": EVENTS, "tasks": tasks, "memory": memory})


async def forget(request: Request) -> JSONResponse:
    """Forget what the hooks were told."""
    EVENTS.clear()
    return JSONResponse({})


inner = Starlette(
    routes=[
        Route("/send/{user}", send, methods=["POST"]),
        Route("/burst", burst, methods=["POST"]),
        Route("/disconnect/{user}", disconnect, methods=["POST"]),
        Route("/state", state),
        Route("/forget", forget, methods=["POST"]),
    ]
)
app = PushMiddleware(inner, push=push)


async def wrapped_send(scope: Any, receive: Any, send: Any) -> None:
    """The same behind a middleware that wraps `send`, as many do."""

    async def passing(message: Any) -> None:
        await send(message)

    await app(scope, receive, passing)
