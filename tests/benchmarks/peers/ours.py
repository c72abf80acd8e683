"""This library: as it comes, without direct writes, and with a path that names the user."""

import asyncio
from functools import partial
from itertools import count
from typing import Any

from ..frames import Confirming, Envelopes, Events, Lines
from ..publication import FIRST
from . import API_KEY, Built, Peer, compact, redis_url


def build(**settings: Any) -> Built:
    """Return an application of Starlette with a Push: it starts sooner than FastAPI, and no message gets to either."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from asgi_push import Push, PushMiddleware

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    app, push = Starlette(routes=[Route("/health", health)]), Push(**settings)
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
DIRECT = Peer("asgi_push", partial(build, path="/ws"), text=compact, compresses=False, shares=True)
COMPRESSION_OFF = Peer(
    "asgi_push, compression=off", partial(build, path="/ws", compression="off"), text=compact, compresses=False
)
ENVELOPES = Peer(
    "asgi_push, envelopes",
    partial(build, path="/ws"),
    text=compact,
    path="/ws?since=",
    greetings=1,
    compresses=False,
    learns=True,
)
METRICS = Peer("asgi_push, metrics=true", partial(build, path="/ws", metrics=True), text=compact, compresses=False)
OUTSIDE = Peer(
    "asgi_push, HTTP API, batches of 10", partial(build, path="/ws", api_key=API_KEY), text=compact, compresses=False
)
ORDINARY = Peer("asgi_push, direct_writes=false", partial(build, path="/ws", direct_writes=False), text=compact)
USERS = Peer("asgi_push, send_to_user", partial(build, path="/ws/{user_id}"), text=compact, path="/ws/{user}")


def _receipts(title: str, every: int, reader: type[Envelopes] = Confirming) -> Peer:
    """Return one that wants to know of every so many messages whether they were confirmed."""
    build_one = partial(_build_with_receipts, every)
    path = "/ws/{user}?since="
    return Peer(title, build_one, text=compact, path=path, greetings=1, compresses=False, reader=reader)


def _build_with_receipts(every: int) -> Built:
    built = build(path="/ws/{user_id}")
    send, numbers, waiting, room = built.send, count(), set[asyncio.Task[None]](), asyncio.Semaphore(500)

    async def confirmed(user: str, data: Any) -> None:
        result: Any = await send(user, data, confirm=30.0)  # type: ignore[call-arg]
        room.release()
        if not result.confirmed:
            raise RuntimeError("nobody has confirmed")

    async def maybe(user: str, data: Any) -> None:
        if not every or next(numbers) % every:
            await send(user, data)
            return
        await room.acquire()
        task = asyncio.create_task(confirmed(user, data))
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    return Built(built.app, publish=built.publish, send=maybe)


NO_RECEIPTS = _receipts("asgi_push, send_to_user, envelopes", 0, Envelopes)
RECEIPTS_1 = _receipts("asgi_push, send_to_user, 1 % with receipts", 100)
RECEIPTS_ALL = _receipts("asgi_push, send_to_user, all with receipts", 1)
REDIS = Peer("asgi_push, Redis, history", _build_over_redis, text=compact, compresses=False)
REDIS_UNKEPT = Peer(
    "asgi_push, Redis, no history", partial(_build_over_redis, history_size=0), text=compact, compresses=False
)
