# (cd examples/chat && npm ci) && uvicorn examples.chat.app:app
"""A chat room with an SDK client.

It shows who is here and what was said before one came. A bad connection loses nothing.

Open it twice: localhost:8000/?user=ann and localhost:8000/?user=bob
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse
from starlette.routing import Route

from asgi_push import ChannelOptions, PushMiddleware, Session

HERE = Path(__file__).parent


def who(connection: HTTPConnection) -> str | None:
    return connection.query_params.get("user")  # not proven; jwt_auth.py shows how to be sure


def may(session: Session, channel: str, action: str) -> bool:
    # Anybody may come in, speak, see who is there, and read what was said.
    return channel.startswith("room:")


async def page(request: Request) -> FileResponse:
    return FileResponse(HERE / "index.html")


async def sdk(request: Request) -> FileResponse:
    return FileResponse(HERE / "node_modules/centrifuge/dist/centrifuge.js")


app = PushMiddleware(
    Starlette(routes=[Route("/", page), Route("/centrifuge.js", sdk)]),
    authenticate=who,
    authorize=may,
    namespaces={
        # The last 50 messages, for a day; who is here; and word of who comes and goes.
        "room": ChannelOptions(
            history_size=50, history_ttl=24 * 60 * 60, presence=True, join_leave=True
        ),
    },
)
