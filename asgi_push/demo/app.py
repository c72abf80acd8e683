"""The demo's application: a page, two endpoints, and WebSockets at ``/websocket/{user_id}``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from secrets import token_hex

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from asgi_push import (
    ChannelOptions,
    PublishResult,
    Push,
    PushMiddleware,
    Session,
    __version__,
)

from .board import CHANNEL, MONITOR, Board

PATH = "/websocket/{user_id}"
IDLE_TIMEOUT = 20.0  # seconds; short, to watch it end. In production above 60: see the settings.
PING_INTERVAL = 5.0  # seconds; that of the page's own pings
MAX_MESSAGE = 2000  # characters
MAX_USERS = 50
MAX_USER = 64  # characters of one user's id

PAGE = Path(__file__).parent / "page"
# Named here because Windows may know .js as text/plain, which browsers refuse to run as a module.
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "cache-control": "no-cache",
    # The address on the page may name another server, hence ws: and wss:.
    "content-security-policy": "default-src 'self'; img-src data:; connect-src 'self' ws: wss:",
}


@dataclass(frozen=True, slots=True)
class PushRequest:
    """What the page asks to be pushed, checked."""

    to: str
    users: list[str]
    message: str
    # By which a page knows what it has missed.
    id: str = field(default_factory=lambda: token_hex(3))


def create_app() -> PushMiddleware:
    """Build the demo: in memory, in one process, and open to whoever can reach it."""
    board = Board()
    push = Push(
        path=PATH,
        broker="memory://",
        sse=True,
        idle_timeout=IDLE_TIMEOUT,
        ping_interval=PING_INTERVAL,
        authenticate=user_of_the_address,
        authorize=may_watch,
        on_connect=board.connected,
        on_disconnect=board.disconnected,
        on_message=board.said,
        namespaces={"demo": ChannelOptions(history_size=0)},  # nobody needs an old list of sessions
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.keep_pushing, push)
            yield
            tasks.cancel_scope.cancel()

    routes = [
        Route("/", page),
        Route("/page/{name}", page),
        Route("/demo/about", about),
        Route("/demo/push", push_message, methods=["POST"]),
        Route("/demo/disconnect", disconnect, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: explain})
    return PushMiddleware(app, push)


def user_of_the_address(connection: HTTPConnection) -> str:
    """Return the user of the path or of the query, which an application would ask a cookie for."""
    return str(connection.path_params.get("user_id") or connection.query_params.get("user", ""))


def may_watch(session: Session, channel: str, action: str) -> bool:
    """Let the page's monitor subscribe to the list of sessions, and nobody do anything else."""
    return (session.user, channel, action) == (MONITOR, CHANNEL, "subscribe")


async def page(request: Request) -> Response:
    """Answer with a file of the page."""
    file = PAGE / request.path_params.get("name", "index.html")
    if file.parent != PAGE or file.suffix not in TYPES or not file.is_file():
        raise HTTPException(404, "no such file")
    return FileResponse(file, media_type=TYPES[file.suffix], headers=HEADERS)


async def about(request: Request) -> JSONResponse:
    """Answer with the version, and where the documentation is; empty if it is not published."""
    try:
        urls = metadata("asgi-push").get_all("Project-URL", [])
    except PackageNotFoundError:
        urls = []
    named = dict(url.split(", ", 1) for url in urls)
    docs = named.get("Documentation", "")
    return JSONResponse({"version": __version__, "docs": "" if "example.org" in docs else docs})


async def push_message(request: Request) -> JSONResponse:
    """Push to one user, several, or everybody; say how many sessions that reached, and its id."""
    wanted = read_push(await read_json(request))
    try:
        receivers = await deliver(request.app.state.push, wanted)
        return JSONResponse({"receivers": receivers, "id": wanted.id})
    except ValueError as error:  # text that no frame can carry, such as half of a surrogate pair
        raise HTTPException(400, str(error)) from None


async def deliver(push: Push, wanted: PushRequest) -> int:
    """Push, and return how many sessions that reached, except for the pages' monitors."""
    # An object: a page cannot take it for a pong or for the list.
    data = {"message": wanted.message, "id": wanted.id}
    if wanted.to == "all":
        watching = len(push.sessions(user=MONITOR))
        return max(0, count(await push.send_to_all(data)) - watching)
    if wanted.to == "one":
        return count(await push.send_to_user(wanted.users[0], data))
    return sum(map(count, await push.send_to_users(wanted.users, data)))


def count(result: PublishResult) -> int:
    """Return how many sessions were reached; the memory broker always knows."""
    return result.receivers or 0


async def disconnect(request: Request) -> JSONResponse:
    """Close one session; its client does not come back."""
    session = (await read_json(request)).get("session")
    push: Push = request.app.state.push
    if session not in [known.id for known in push.sessions()]:
        raise HTTPException(400, "session: none with this id is open")
    await push.disconnect(session=session)
    return JSONResponse({"disconnected": session})


async def read_json(request: Request) -> dict[str, object]:
    """Return the JSON object of the body; raise HTTPException that says what is wrong with it."""
    # A form of another site can send JSON as text/plain, but not as this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(400, "content-type: must be application/json")
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise HTTPException(400, "body: must be JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "body: must be a JSON object")
    return body


def read_push(body: dict[str, object]) -> PushRequest:
    """Check what the page asks for; raise HTTPException that names the wrong field."""
    to = body.get("to")
    message = body.get("message")
    if to not in ("one", "several", "all"):
        raise HTTPException(400, "to: must be one, several or all")
    if not isinstance(message, str) or not 0 < len(message) <= MAX_MESSAGE:
        raise HTTPException(400, f"message: must be text of 1 to {MAX_MESSAGE} characters")
    users = [] if to == "all" else read_users(body.get("users"), 1 if to == "one" else MAX_USERS)
    return PushRequest(str(to), users, message)


def read_users(value: object, at_most: int) -> list[str]:
    """Return a list of user ids, or raise HTTPException."""
    if not isinstance(value, list) or not 0 < len(value) <= at_most:
        wanted = "exactly one user" if at_most == 1 else f"1 to {at_most} users"
        raise HTTPException(400, f"users: must name {wanted}")
    if not all(isinstance(user, str) and 0 < len(user) <= MAX_USER for user in value):
        raise HTTPException(400, f"users: each must be text of 1 to {MAX_USER} characters")
    return list(dict.fromkeys(value))


async def explain(request: Request, error: Exception) -> JSONResponse:
    """Answer an HTTPException as JSON, which the page shows as it is."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": getattr(error, "detail", "internal error")}, status)
