"""What is said where something turns direct writes off that somebody could change."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import Message
from uvicorn.protocols.http.h11_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.sync.client import connect

from asgi_push import PushMiddleware
from asgi_push.transports import uvicorn, wrapped
from tests.servers import Serve

WRAPPED = "wraps the send of uvicorn"

sessions = Middleware(SessionMiddleware, secret_key="x")
push = Middleware(PushMiddleware, sse=True)
inside = Starlette(middleware=[sessions, push])
outside = Starlette(middleware=[push, sessions])
off = Starlette(middleware=[sessions, Middleware(PushMiddleware, sse=True, direct_writes=False)])


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> Iterator[None]:
    wrapped._once._seen.clear()
    yield
    wrapped._once._seen.clear()


@pytest.mark.parametrize(("app", "lines"), [("inside", 1), ("outside", 0), ("off", 0)])
@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_middleware_outside_is_named_once(serve: Serve, app: str, lines: int, transport: str) -> None:
    """Where it wraps ``send``; not where it stands inside, nor where no direct writes are wanted."""
    with serve(f"tests.transports.test_wrapped:{app}") as server:
        for _ in range(3):
            if transport == "websocket":
                with connect(server.ws + "/ws") as client:
                    client.send("ping")
                    assert client.recv(10) == "pong"
            else:
                with httpx.stream("GET", server.http + "/push/events", timeout=10) as stream:
                    assert next(stream.iter_lines()).startswith("retry")
        server.stop()
        assert server.log().count(WRAPPED) == lines
        assert server.log().count("starlette.middleware.sessions.SessionMiddleware") == lines


class Wrapper:
    """Middlewares wrap ``send`` in one of these ways."""

    async def send(self, message: Message) -> None: ...

    async def __call__(self, message: Message) -> None: ...

    @staticmethod
    def closure() -> Callable[[Message], Any]:
        async def send(message: Message) -> None: ...

        return send


@pytest.mark.parametrize(
    ("send", "name"),
    [
        (Wrapper().send, "test_wrapped.Wrapper "),
        (Wrapper(), "test_wrapped.Wrapper "),
        (Wrapper.closure(), "test_wrapped.Wrapper.closure "),
        (functools.partial(Wrapper().send), "functools.partial "),
    ],
)
def test_each_kind_of_wrapper_has_a_name(send: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """For WebSockets and for event streams."""
    assert uvicorn.recognise(send) is None
    assert name in caplog.text
    wrapped._once._seen.clear()
    caplog.clear()
    assert uvicorn.recognise_stream(send) is None
    assert name in caplog.text


def bare(cls: type[Any], needed: tuple[str, ...]) -> Any:
    """An object of uvicorn's with nothing but what is looked for."""
    made = cls.__new__(cls)
    for name in needed:
        setattr(made, name, SimpleNamespace())
    return made


@pytest.mark.parametrize(
    ("cls", "needed", "recognise"),
    [
        (WebSocketsSansIOProtocol, uvicorn._NEEDED, uvicorn.recognise),
        (RequestResponseCycle, uvicorn._NEEDED_OF_RESPONSES, uvicorn.recognise_stream),
    ],
)
def test_another_uvicorn_is_told(
    cls: type[Any], needed: tuple[str, ...], recognise: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose object lacks what is needed; not one that is only not open."""
    assert recognise(bare(cls, needed).send) is None
    assert caplog.text == ""
    assert recognise(bare(cls, needed[1:]).send) is None
    assert "not as it was" in caplog.text


def test_other_servers_have_no_direct_writes_anyway(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So there is nothing to say."""
    for name in (uvicorn._MODULE, uvicorn._HTTPTOOLS, uvicorn._H11):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert uvicorn.recognise(Wrapper.closure()) is None
    assert uvicorn.recognise_stream(Wrapper.closure()) is None
    assert caplog.text == ""
