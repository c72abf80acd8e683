# (cd examples/bell && npm ci) && uvicorn examples.bell.app:app
"""A notification bell: it counts what came.

It counts while the page is closed, too, and forgets nothing at a reload.

curl -X POST 'localhost:8000/users/ann/notify?text=hello' rings at localhost:8000/?user=ann
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from asgi_push import Push, PushMiddleware

HERE = Path(__file__).parent


def who(connection: HTTPConnection) -> str | None:
    return connection.query_params.get("user")  # not proven; jwt_auth.py shows how to be sure


# A person's own channel keeps their last 100 notifications for a week. It needs no subscription and
# no authorize.
push = Push(authenticate=who, everybody=False, history_size=100, history_ttl=7 * 24 * 60 * 60)


async def notify(request: Request) -> JSONResponse:
    result = await push.send_to_user(request.path_params["user"], request.query_params["text"])
    return JSONResponse({"online": bool(result.receivers)})


async def page(request: Request) -> FileResponse:
    return FileResponse(HERE / "index.html")


async def sdk(request: Request) -> FileResponse:
    return FileResponse(HERE / "node_modules/centrifuge/dist/centrifuge.js")


routes = [
    Route("/", page),
    Route("/centrifuge.js", sdk),
    Route("/users/{user}/notify", notify, methods=["POST"]),
]
app = PushMiddleware(Starlette(routes=routes), push)
