"""The application of these tests: three Pushes, asked over HTTP, and scripts that write around them, below /direct/."""

from __future__ import annotations

import json
import secrets
import time
from functools import partial
from itertools import count
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_push import Push, PushMiddleware, Session
from asgi_push.protocols import WireMessage
from asgi_push.push import core_of
from tests.conformance.mixture import mixed_text
from tests.conformance.scripts import SCRIPTS, Script, results

# A send that does not get on for so many seconds is stuck: its peer's kernel, which is this one, answers at once.
_STUCK_AFTER = 0.25

# How often something is looked at, in seconds.
_LOOK = 0.002


async def _echo(session: Session, data: str | bytes) -> None:
    if session.user == "echo":
        await session.send(data)


def _make_push(name: str, **settings: Any) -> Push:
    return Push(
        path=f"/{name}/{{user_id}}",
        centrifuge_path=f"/{name}-sdk",
        authorize=lambda *_: True,
        on_message=_echo,
        send_timeout=60.0,  # for that long a busy machine reads nothing
        **settings,
    )


PUSHES = {
    "main": _make_push("main"),
    "undirected": _make_push("undirected", direct_writes=False),
    "roomy": _make_push("roomy", queue_messages=100_000, queue_bytes=256 * 1024 * 1024),
}

_numbers = count()


async def until_here(push: Push, body: bytes, user: str) -> None:
    """Return when a user has a session."""
    while not push.sessions(user):  # noqa: ASYNC110  # nothing tells of it
        await anyio.sleep(_LOOK)


async def push(push: Push, body: bytes, user: str, text: bool) -> None:  # an argument in JSON
    """Send to a user."""
    await push.send_to_user(user, body.decode() if text else body)


async def flood(push: Push, body: bytes, user: str, times: int, size: int) -> list[str]:
    """Send a user numbers, with noise behind them up to ``size`` bytes, which does not shrink; return them."""
    sent = [str(next(_numbers)) for _ in range(times)]
    for data in sent:
        await push.send_to_user(user, f"{data} {secrets.token_urlsafe(size)}"[:size])
    return sent


async def mixed(push: Push, body: bytes, user: str, count: int) -> None:
    """Send a user numbered texts in every way that there is: at once, joined in one write, and by the server itself."""
    (session,) = push.sessions(user)
    for number in range(count):
        if number % 4 == 3:
            await core_of(push).hub.fanout.settled()
            await session.io.send(WireMessage(mixed_text(number).encode(), text=True))
        else:
            await push.send_to_user(user, mixed_text(number))


async def missed(push: Push, body: bytes, channel: str, count: int) -> dict[str, Any]:
    """Publish numbered texts to a channel; return its position before them."""
    before = (await push.history(channel)).position
    for number in range(count):
        await push.publish(channel, mixed_text(number))
    return {"offset": before.offset, "epoch": before.epoch}


async def unconfirmed(push: Push, body: bytes, user: str, count: int) -> None:
    """Send a user numbered texts that are kept until it confirms them."""
    for number in range(count):
        await push.send_to_user(user, mixed_text(number), inbox=True)


async def stream(push: Push, body: bytes, user: str) -> None:
    """Publish numbers to the channel ``ticks`` for as long as a user has a session."""
    for number in count():
        if not push.sessions(user):
            return
        await push.publish("ticks", f"ticks {number}")
        await anyio.sleep(0.0005)


async def until_stuck(push: Push, body: bytes, user: str) -> bool:
    """Return False when all is sent that waits for a user's session, True when its current send does not get on."""
    (session,) = push.sessions(user)
    while session.queue is not None:
        since = session.queue.sending_since
        if since is not None and time.monotonic() - since > _STUCK_AFTER:
            return True
        await anyio.sleep(_LOOK)
    return False


async def is_direct(push: Push, body: bytes, user: str) -> bool:
    """Whether a user's session is written to directly."""
    (session,) = push.sessions(user)
    return session.io.writes == "direct"  # type: ignore[attr-defined, no-any-return]


async def result(push: Push, body: bytes, script: str) -> Any:
    """Return what a script has told."""
    while script not in results:  # noqa: ASYNC110  # nothing tells of it
        await anyio.sleep(_LOOK)
    return results[script]


_QUESTIONS = {
    question.__name__: question
    for question in (until_here, push, flood, mixed, missed, unconfirmed, stream, until_stuck, is_direct, result)
}


async def answer(request: Request) -> JSONResponse:
    """Answer a question."""
    asked, arguments = request.path_params, json.loads(request.headers["arguments"])
    return JSONResponse(await _QUESTIONS[asked["question"]](PUSHES[asked["push"]], await request.body(), **arguments))


async def _louder(send: Send, message: Message) -> None:
    """A middleware's own ``send``, which nothing may go around."""
    if message.get("text") is not None:
        message = {**message, "text": message["text"].upper()}
    await send(message)


def _made() -> ASGIApp:
    inner: ASGIApp = Starlette(routes=[Route("/{push}/{question}", answer, methods=["POST"])])
    for each in PUSHES.values():
        inner = PushMiddleware(inner, each)
    return inner


_pushes = _made()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a script, a Push behind a middleware, or a Push."""
    path = scope.get("path", "")
    if path.startswith("/direct/"):
        await SCRIPTS[path[8:]](await Script.accept(receive, send))
    elif path.startswith("/wrapped/"):
        await _pushes({**scope, "path": "/main/" + path[9:]}, receive, partial(_louder, send))
    else:
        await _pushes(scope, receive, send)
