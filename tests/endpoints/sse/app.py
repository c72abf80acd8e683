"""What the tests of event streams run: the user is the one of the query, and publishing is a POST.

`uvicorn tests.endpoints.sse.app:app`; settings come from the environment, as in production.
"""

from __future__ import annotations

import os
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from asgi_push import Disconnect, Push, PushMiddleware, Session

EVENTS: list[dict[str, Any]] = []


def authenticate(connection: HTTPConnection) -> str | None:
    return connection.query_params.get("user")


def on_disconnect(session: Session, disconnect: Disconnect) -> None:
    EVENTS.append({"user": session.user, "code": disconnect.code, "reason": disconnect.reason})


push = Push(
    authenticate=authenticate,
    authorize=lambda session, channel, action: not channel.startswith("secret"),
    on_disconnect=on_disconnect,
)


async def publish(request: Request) -> JSONResponse:
    """Publish so many items to a channel: the first is `from`, and each is one more."""
    order = await request.json()
    for number in range(order["from"], order["from"] + order["count"]):
        await push.publish(order["channel"], f"{order['channel']} {number}")
    return JSONResponse({})


async def send(request: Request) -> JSONResponse:
    """Send to a user."""
    await push.send_to_user(request.path_params["user"], await request.json())
    return JSONResponse({})


async def disconnect(request: Request) -> JSONResponse:
    """Close a user's sessions with a code."""
    await push.disconnect(request.path_params["user"], disconnect=Disconnect(**await request.json()))
    return JSONResponse({})


async def subscribe(request: Request) -> JSONResponse:
    """Put a user into a channel, or with DELETE take the user out of it."""
    change = push.unsubscribe if request.method == "DELETE" else push.subscribe
    await change(request.path_params["user"], request.path_params["channel"])
    return JSONResponse({})


async def state(request: Request) -> JSONResponse:
    """Tell which sessions there are, and which ended."""
    sessions = [
        {"user": session.user, "protocol": session.protocol, "channels": session.channels, "direct": _direct(session)}
        for session in push.sessions()
    ]
    return JSONResponse({"sessions": sessions, "ended": EVENTS})


def _direct(session: Session) -> bool:
    return session.io.writes == "direct"  # type: ignore[attr-defined, no-any-return]


async def page(request: Request) -> HTMLResponse:
    """A page that a browser can be on."""
    return HTMLResponse("<!doctype html><title>events</title>")


routes = [
    Route("/publish", publish, methods=["POST"]),
    Route("/send/{user}", send, methods=["POST"]),
    Route("/disconnect/{user}", disconnect, methods=["POST"]),
    Route("/channels/{user}/{channel}", subscribe, methods=["PUT", "DELETE"]),
    Route("/state", state),
    Route("/", page),
]
app = (
    Starlette(routes=routes, middleware=[Middleware(PushMiddleware, push=push)])
    if os.environ.get("INSIDE")
    else PushMiddleware(Starlette(routes=routes), push=push)
)
