# (cd examples/bell && npm ci) && uvicorn examples.bell.app:app
"""A notification bell: it counts what came.

It counts while the page is closed, too, and forgets nothing at a reload. What is read on one device
is read on all of them.

curl -X POST 'localhost:8000/users/ann/notify?text=hello' rings at localhost:8000/?user=ann
curl localhost:8000/users/ann/unread says how many are unread, for a badge elsewhere
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


# A person's own channel keeps their last 100 notifications for a week, read or not. It needs no
# subscription and no authorize. What is unread is in their inbox, until a page confirms it.
push = Push(authenticate=who, everybody=False, history_size=100, history_ttl=7 * 24 * 60 * 60)


async def notify(request: Request) -> JSONResponse:
    user = request.path_params["user"]
    result = await push.send_to_user(user, request.query_params["text"], inbox=True)
    return JSONResponse({"online": bool(result.receivers)})


async def unread(request: Request) -> JSONResponse:
    return JSONResponse({"unread": len(await push.inbox(request.path_params["user"]))})


async def page(request: Request) -> FileResponse:
    return FileResponse(HERE / "index.html")


async def sdk(request: Request) -> FileResponse:
    return FileResponse(HERE / "node_modules/centrifuge/dist/centrifuge.js")


routes = [
    Route("/", page),
    Route("/centrifuge.js", sdk),
    Route("/users/{user}/notify", notify, methods=["POST"]),
    Route("/users/{user}/unread", unread),
]
app = PushMiddleware(Starlette(routes=routes), push)
