"""The application whose sessions others push to over HTTP."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from asgi_push import ChannelOptions, PushMiddleware

KEY = "a key that nobody guesses"


def _whoever_it_says(connection: HTTPConnection) -> str | None:
    return connection.headers.get("authorization", "").removeprefix("Bearer ") or None


app = PushMiddleware(
    Starlette(),
    api_key=KEY,
    authenticate=_whoever_it_says,
    namespaces={"": ChannelOptions(presence=True), "live": ChannelOptions(history_size=0)},
)
