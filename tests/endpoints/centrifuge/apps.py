"""The applications that the real clients talk to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from asgi_push import ChannelOptions, Credentials, Disconnect, Push, PushMiddleware, RpcError, Session

HERE = Path(__file__).parent
SUITE_SECRET = "secret"
SECRET = "a secret of 32 bytes, for the tests"


def _anywhere_and_where_it_is(session: Session, channel: str, action: str) -> bool:
    return action != "subscribe" and channel in session.channels


# What the SDK's own test suite expects to find: users by token or anonymous, subscriptions by token only, and all that
# a subscriber may ask of its channel.
suite_app = PushMiddleware(
    Starlette(),
    token_secret=SUITE_SECRET,
    authorize=_anywhere_and_where_it_is,
    anonymous=True,
    everybody=False,
    namespaces={
        "": ChannelOptions(presence=True, join_leave=True),
        "smallhistory": ChannelOptions(history_size=2),
    },
)


async def authorize(session: Session, channel: str, action: str) -> bool:
    return not channel.startswith("secret")


async def answer(session: Session, method: str, data: Any) -> Any:
    if method == "raise":
        raise RuntimeError("as it was told")
    if method == "refuse":
        raise RpcError(404, "no such thing")
    return {"user": session.user, "method": method, "data": data}


push = Push(
    token_secret=SECRET,
    allowed_origins="*",
    authorize=authorize,
    on_rpc=answer,
    ping_interval=1.0,
    pong_timeout=60.0,  # a busy machine takes long
    namespaces={
        "": ChannelOptions(presence=True, join_leave=True),
        "long": ChannelOptions(history_size=5000),
        "short": ChannelOptions(history_size=10),
        "live": ChannelOptions(history_size=0),
    },
)


def authenticate(connection: HTTPConnection) -> Credentials:
    """What an application with logins of its own says: a token of its own making, else a cookie's short session."""
    user, _, until = connection.headers.get("authorization", "").removeprefix("Bearer ").partition(" until ")
    return Credentials(user, expires_at=float(until)) if user else Credentials("11", expires_at=time.time() + 2)


login_app = PushMiddleware(
    Starlette(),
    authenticate=authenticate,
    allowed_origins="*",
    ping_interval=1.0,
    pong_timeout=60.0,
    on_rpc=answer,
)


async def publish(request: Request) -> Response:
    channel, tags = request.path_params["channel"], dict(request.query_params)
    result = await push.publish(channel, await request.json(), tags=tags or None)
    return JSONResponse({"offset": result.position.offset if result.position else 0, "receivers": result.receivers})


async def send_to_user(request: Request) -> Response:
    result = await push.send_to_user(request.path_params["user"], await request.json())
    return JSONResponse(result.receivers)


async def confirm(request: Request) -> Response:
    """Publish, and wait for the clients to say that they have it."""
    seconds = float(request.query_params["seconds"])
    result = await push.publish(request.path_params["channel"], await request.json(), confirm=seconds)
    return JSONResponse({"receivers": result.receivers, "confirmed": list(result.confirmed)})


async def ask(request: Request) -> Response:
    return JSONResponse(await push.ask(await request.json(), user=request.path_params["user"], timeout=60.0))


async def inbox(request: Request) -> Response:
    """Put something into a user's inbox, or tell what is in it."""
    user = request.path_params["user"]
    if request.method == "POST":
        await push.send_to_user(user, await request.json(), inbox=True)
    return JSONResponse([publication.data for publication in await push.inbox(user)])


async def subscribe(request: Request) -> Response:
    await push.subscribe(request.path_params["user"], request.path_params["channel"])
    return JSONResponse(None)


async def unsubscribe(request: Request) -> Response:
    await push.unsubscribe(request.path_params["user"], request.path_params["channel"])
    return JSONResponse(None)


async def disconnect(request: Request) -> Response:
    await push.disconnect(request.path_params["user"], disconnect=Disconnect(**await request.json()))
    return JSONResponse(None)


async def answered(request: Request) -> Response:
    """How many sessions of a user have answered a ping."""
    sessions: Any = push.sessions(request.path_params["user"])
    return JSONResponse(sum(session.heartbeat.round_trip is not None for session in sessions))


async def count(request: Request) -> Response:
    """Publish the numbers up to ``to`` to some channels, a thousand in about two seconds, from now on."""
    return JSONResponse(None, background=BackgroundTask(count_up, **await request.json()))


async def count_up(to: int, channels: list[str]) -> None:
    for number in range(1, to + 1):
        for channel in channels:
            await push.publish(channel, number)
        await anyio.sleep(0.001)


async def page(request: Request) -> Response:
    return FileResponse(HERE / "drivers" / "page.html")


client_app = PushMiddleware(
    Starlette(
        routes=[
            Route("/publish/{channel}", publish, methods=["POST"]),
            Route("/confirm/{channel}", confirm, methods=["POST"]),
            Route("/users/{user}/ask", ask, methods=["POST"]),
            Route("/users/{user}/inbox", inbox, methods=["GET", "POST"]),
            Route("/users/{user}/send", send_to_user, methods=["POST"]),
            Route("/users/{user}/subscribe/{channel}", subscribe, methods=["POST"]),
            Route("/users/{user}/unsubscribe/{channel}", unsubscribe, methods=["POST"]),
            Route("/users/{user}/disconnect", disconnect, methods=["POST"]),
            Route("/users/{user}/answered", answered),
            Route("/count", count, methods=["POST"]),
            Route("/page", page),
            Mount("/drivers", StaticFiles(directory=HERE / "drivers")),
            Mount("/node_modules", StaticFiles(directory=HERE / "node_modules", check_dir=False)),
        ]
    ),
    push,
)
