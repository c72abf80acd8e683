"""Applications that differ in where the middleware stands and in where their handlers look for push."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import litestar
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from quart import Quart, current_app, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from asgi_push import Push, PushMiddleware, get_push

# The middleware's path, and how it is given to a framework that builds its middlewares itself.
PATH = "/websocket/{user_id}"
OURS = Middleware(PushMiddleware, path=PATH)

WAYS: dict[str, Callable[[Any], Any]] = {
    "app.state": lambda request: request.app.state.push,
    "state": lambda request: request.state.push,
    "scope": lambda request: request.scope["state"]["push"],
    "extensions": lambda request: current_app.extensions["push"],
    "get_push": get_push,
}


async def push_to_11(request: Any, way: str) -> None:
    await WAYS[way](request).send_to_user("11", way)


# Starlette, which FastAPI is too. Code at start-up finds push where handlers do.


async def starlette_handler(request: Request) -> Response:
    await push_to_11(request, request.path_params["way"])
    return Response()


@asynccontextmanager
async def starlette_lifespan(app: Starlette) -> AsyncIterator[None]:
    await app.state.push.send_to_all("started")
    yield


HANDLER = Route("/push/{way}", starlette_handler, methods=["POST"])

starlette_inside = Starlette(routes=[HANDLER], middleware=[OURS], lifespan=starlette_lifespan)
starlette_wrapped = PushMiddleware(Starlette(routes=[HANDLER], lifespan=starlette_lifespan), path=PATH)
handler_in_mounted = Starlette(routes=[Mount("/sub", Starlette(routes=[HANDLER]))], middleware=[OURS])
only_in_mounted = Starlette(routes=[Mount("/sub", Starlette(routes=[HANDLER], middleware=[OURS]))])


# Litestar gives its middlewares no lifespan, and WebSockets only where there is a route for them. It makes one for each
# route: they must share a push.


@litestar.post("/push/{way:str}")
async def litestar_handler(way: str, request: litestar.Request[Any, Any, Any]) -> None:
    await push_to_11(request, way)


@litestar.websocket("/websocket/{user_id:str}")
async def never_called(socket: litestar.WebSocket[Any, Any, Any]) -> None:
    raise AssertionError("the middleware serves this path")


async def litestar_startup(app: litestar.Litestar) -> None:
    await app.state.push.send_to_all("started")


litestar_inside = litestar.Litestar(
    [litestar_handler, never_called],
    middleware=[litestar.middleware.DefineMiddleware(PushMiddleware, push=Push(path=PATH))],
)
litestar_wrapped = PushMiddleware(litestar.Litestar([litestar_handler], on_startup=[litestar_startup]), path=PATH)


# Quart, wrapped as a whole and on its ASGI side alone.


def quart_app() -> Quart:
    app = Quart(__name__)

    @app.post("/push/<way>")
    async def handler(way: str) -> str:
        await push_to_11(request, way)
        return ""

    @app.before_serving
    async def startup() -> None:
        await current_app.extensions["push"].send_to_all("started")

    return app


quart_wrapped = PushMiddleware(quart_app(), path=PATH)
quart_inside = quart_app()
quart_inside.asgi_app = PushMiddleware(quart_inside.asgi_app, path=PATH)


# Django, which knows neither a lifespan nor WebSockets.

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])


async def django_view(request: HttpRequest, way: str) -> HttpResponse:
    await push_to_11(request, way)
    return HttpResponse()


urlpatterns = [path("push/<way>", django_view)]
django_wrapped = PushMiddleware(get_asgi_application(), path=PATH)
