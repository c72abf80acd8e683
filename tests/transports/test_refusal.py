"""What the log says of those who are not let in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_push import AuthenticationError, PushMiddleware, Session
from asgi_push.push import core_of
from asgi_push.transports import refusal
from tests.asgi import Refused, pushing
from tests.endpoints.centrifuge.peers import house
from tests.servers import Serve

FOREIGN = "http://localhost:5173"

alone = PushMiddleware(Starlette())
inside = Starlette(
    middleware=[Middleware(SessionMiddleware, secret_key="x"), Middleware(PushMiddleware, anonymous=False)]
)


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> Iterator[None]:
    refusal._refusals._seen.clear()
    yield
    refusal._refusals._seen.clear()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("app", "origin", "status", "told"),
    [("alone", FOREIGN, 403, f"put '{FOREIGN}' into allowed_origins"), ("inside", None, 401, "set anonymous=true")],
)
def test_uvicorn_logs_no_error(serve: Serve, app: str, origin: str | None, status: int, told: str, loop: str) -> None:
    """Its default implementation takes a denial for an unfinished handshake; we say why, once, by default."""
    with serve(f"tests.transports.test_refusal:{app}", args=["--loop", loop]) as server:
        for _ in range(10):
            with pytest.raises(InvalidStatus) as refused, connect(server.ws + "/ws", origin=origin):
                pass
            assert refused.value.response.status_code == status
        server.stop()
    assert "ERROR" not in server.log()
    assert server.log().count(told) == 1


async def refused(path: str = "/ws", /, *, scope: dict[str, Any] | None = None, **options: Any) -> None:
    """Two connections, for the same reason."""
    async with pushing(path="/ws", **options) as (_, server):
        for _ in range(2):
            with pytest.raises(Refused):
                await server.connect(path, **(scope or {}))


def unwelcome(connection: HTTPConnection) -> str:
    raise AuthenticationError("not you")


@pytest.mark.parametrize(
    ("options", "scope", "said"),
    [
        ({}, {"headers": {"origin": FOREIGN, "host": "example.org"}}, f"put '{FOREIGN}' into allowed_origins"),
        ({"anonymous": False}, {}, "set anonymous=true"),
        ({"authenticate": unwelcome}, {}, "'not you'; it needs other credentials"),
        ({"authenticate": lambda _: "x" * 300}, {}, "correct what authenticate"),
        ({"max_channels": 1}, {"query_string": b"channels=a,b"}, "raise max_channels"),
        ({}, {"query_string": b"channels=" + b"x" * 300}, "correct the ?channels="),
        ({"max_sessions": 1}, {}, "raise max_sessions, or"),
        ({"max_sessions_per_user": 1, "authenticate": lambda _: "a"}, {}, "raise max_sessions_per_user"),
    ],
)
async def test_the_first_of_a_kind_is_a_warning(
    caplog: pytest.LogCaptureFixture, options: dict[str, Any], scope: dict[str, Any], said: str
) -> None:
    """It says what to do; the next of its kind is counted only."""
    async with pushing(**({"path": "/ws"} | options)) as (_, server):
        for _ in range(3):
            with suppress(Refused):
                await server.connect("/ws", **scope)
    (line,) = warnings(caplog)
    assert said in line


async def test_different_kinds_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """Two reasons with one status are two lines."""
    headers = {"origin": FOREIGN, "host": "example.org"}
    await refused(scope={"headers": headers})
    await refused(scope={"query_string": b"channels=" + b"x" * 300})
    assert len(warnings(caplog)) == 2


async def test_a_shutdown_is_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Who comes then is refused on the level INFO."""
    caplog.set_level(logging.INFO, "asgi_push")
    async with pushing(path="/ws") as (push, server):
        core_of(push).hub.accepting = False
        with pytest.raises(Refused):
            await server.connect("/ws")
    assert "shutting down" in caplog.text
    assert warnings(caplog) == []


async def test_hooks_that_fail_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The first failure is there with its cause, and with what it means."""

    def broken(*args: Any) -> str:
        raise RuntimeError("the database is away")

    await refused(authenticate=broken)
    await refused("/ws?channels=a", authorize=broken)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage().split()[0] for record in errors] == ["authenticate", "authorize"]
    assert all(record.exc_info and "away" in str(record.exc_info[1]) for record in errors)


def only_news(session: Session, channel: str, action: str) -> bool:
    return channel == "news"


@pytest.mark.parametrize(
    ("options", "asked", "said"),
    [
        ({}, "prices", "nobody can have 'prices' by ?channels=, as there is no authorize"),
        ({"authorize": only_news}, "prices,news", "authorize refused 'prices'"),
        ({"authorize": only_news}, "%23alice", "'#alice' is another user's own channel"),
    ],
)
async def test_channels_that_nobody_gets(
    caplog: pytest.LogCaptureFixture, options: dict[str, Any], asked: str, said: str
) -> None:
    """Who asks for one is let in without it, which is said once."""
    async with pushing(path="/ws", **options) as (push, server):
        for _ in range(2):
            await server.connect(f"/ws?channels={asked}")
        assert {"prices", "#alice"}.isdisjoint(push.sessions()[0].channels)
    (line,) = warnings(caplog)
    assert said in line


async def test_an_sdk_client_is_told_of_too(caplog: pytest.LogCaptureFixture) -> None:
    """One that is closed instead of being answered by its connect command."""
    secret = "0123456789abcdef0123456789abcdef"
    forged = jwt.encode({"sub": "alice"}, "another secret, of thirty-two bytes", "HS256")
    async with house(token_secret=secret) as home:
        peer = await home.stranger()
        peer.say({"id": 1, "connect": {"token": forged}})
        assert await peer.closed() == 3500
    (line,) = warnings(caplog)
    assert "3500 'invalid token'; it needs other credentials" in line
