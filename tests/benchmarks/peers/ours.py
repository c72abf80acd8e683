"""This library: as it comes, without direct writes, and with a path that names the user."""

from functools import partial
from typing import Any

from ..frames import Envelopes, Events, Lines
from ..publication import FIRST
from . import API_KEY, Built, Peer, compact, redis_url


def build(**settings: Any) -> Built:
    """Return an application of FastAPI with a Push."""
    from fastapi import FastAPI

    from asgi_push import Push, PushMiddleware

    app, push = FastAPI(), Push(**settings)

    async def health() -> dict[str, str]:
        return {"status": "ok"}

    app.add_api_route("/health", health)
    return Built(PushMiddleware(app, push=push), publish=push.send_to_all, send=push.send_to_user)


def _build_over_redis(**settings: Any) -> Built:
    return build(path="/ws", broker=redis_url(), **settings)


def _sdk_text(data: Any) -> str:
    """Return a publication as SDK clients get it: its offset counts with its number, as nothing else is published."""
    offset = data["seq"] - FIRST + 1
    return compact({"push": {"channel": "*", "pub": {"data": data, "offset": offset}}})


def _sdk(title: str, **settings: Any) -> Peer:
    return Peer(
        title,
        partial(build, ping_interval=3600, **settings),
        text=_sdk_text,
        path="/connection/websocket",
        hello='{"id":1,"connect":{}}',
        greetings=1,
        compresses=False,
        reader=Lines,
    )


def _sse(title: str, **settings: Any) -> Peer:
    make = partial(build, sse=True, ping_interval=3600, **settings)
    return Peer(title, make, text=compact, path="/push/events", compresses=False, reader=Events, events=True)


SDK = _sdk("asgi_push, SDK protocol")
SDK_ORDINARY = _sdk("asgi_push, SDK protocol, direct_writes=false", direct_writes=False)
SSE = _sse("asgi_push, event streams")
SSE_ORDINARY = _sse("asgi_push, event streams, direct_writes=false", direct_writes=False)
DIRECT = Peer("asgi_push", partial(build, path="/ws"), text=compact, compresses=False)
ENVELOPES = Peer(
    "asgi_push, envelopes",
    partial(build, path="/ws"),
    text=compact,
    path="/ws?since=",
    greetings=1,
    compresses=False,
    reader=Envelopes,
)
METRICS = Peer("asgi_push, metrics=true", partial(build, path="/ws", metrics=True), text=compact, compresses=False)
OUTSIDE = Peer(
    "asgi_push, HTTP API, batches of 10", partial(build, path="/ws", api_key=API_KEY), text=compact, compresses=False
)
ORDINARY = Peer("asgi_push, direct_writes=false", partial(build, path="/ws", direct_writes=False), text=compact)
USERS = Peer("asgi_push, send_to_user", partial(build, path="/ws/{user_id}"), text=compact, path="/ws/{user}")
REDIS = Peer("asgi_push, Redis, history", _build_over_redis, text=compact, compresses=False)
REDIS_UNKEPT = Peer(
    "asgi_push, Redis, no history", partial(_build_over_redis, history_size=0), text=compact, compresses=False
)
