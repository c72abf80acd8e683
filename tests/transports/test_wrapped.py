"""What is said where something turns direct writes off that somebody could change."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.sync.client import connect

from asgi_push import PushMiddleware
from asgi_push.transports import direct_writes, wrapped
from tests.servers import PATIENCE, Serve

WRAPPED = "wraps the send of uvicorn"

KNOWN: dict[str, tuple[type[Any], Callable[[Any], object]]] = {
    "websocket": (WebSocketsSansIOProtocol, direct_writes.recognise),
    "sse": (RequestResponseCycle, direct_writes.recognise_stream),
}


class Unheard:
    """A middleware that nobody knows, which wraps ``send``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def unheard(message: Message) -> None:
            await send(message)

        await self.app(scope, receive, unheard)


push = Middleware(PushMiddleware, sse=True)
inside = Starlette(middleware=[Middleware(Unheard), push])
outside = Starlette(middleware=[push, Middleware(Unheard)])
off = Starlette(middleware=[Middleware(Unheard), Middleware(PushMiddleware, sse=True, direct_writes=False)])


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> Iterator[None]:
    wrapped._once._seen.clear()
    yield
    wrapped._once._seen.clear()


@pytest.mark.parametrize(("app", "lines"), [("inside", 1), ("outside", 0), ("off", 0)])
@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_middleware_outside_is_named_once(serve: Serve, app: str, lines: int, transport: str) -> None:
    """Where it wraps ``send``, with what to do; not where it stands inside, nor where no direct writes are wanted."""
    with serve(f"tests.transports.test_wrapped:{app}") as server:
        for _ in range(3):
            if transport == "websocket":
                with connect(server.ws + "/ws") as client:
                    client.send("ping")
                    assert client.recv(PATIENCE) == "pong"
            else:
                with httpx.stream("GET", server.http + "/push/events", timeout=PATIENCE) as stream:
                    assert next(stream.iter_lines()).startswith("retry")
        server.stop()
        assert server.log().count(WRAPPED) == lines
        assert server.log().count("tests.transports.test_wrapped.Unheard") == lines
        assert server.log().count("app = PushMiddleware(app)") == lines
        by_name = lines if transport == "websocket" else 0
        assert server.log().count("uvicorn --ws asgi_push.uvicorn:WebSocketProtocol") == by_name


class Wrapper:
    """Middlewares wrap ``send`` in one of these ways."""

    def __init__(self, send: Send) -> None:
        self._inner = send

    async def send(self, message: Message) -> None:
        await self._inner(message)

    async def __call__(self, message: Message) -> None:
        await self._inner(message)


def closure(inner: Send) -> Send:
    async def send(message: Message) -> None:
        await inner(message)

    return send


def disguised(inner: Send) -> Send:
    @functools.wraps(inner)
    async def send(message: Message) -> None:
        await inner(message)

    return send


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (lambda send: Wrapper(send).send, "test_wrapped.Wrapper "),
        (Wrapper, "test_wrapped.Wrapper "),
        (closure, "test_wrapped.closure "),
        (disguised, "test_wrapped.disguised "),
        (lambda send: functools.partial(closure(send)), "functools.partial "),
        (lambda send: functools.partial(closure, send), "functools.partial "),
        (lambda send: closure(Wrapper(closure(send)).send), "test_wrapped.closure "),
    ],
    ids=["method", "object", "closure", "disguised", "partial of one", "partial with it", "three"],
)
@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_each_kind_of_wrapper_has_a_name(
    wrap: Callable[[Send], Any], name: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it keeps uvicorn's ``send`` in; what wraps that of anything else is nobody's concern."""
    cls, recognise = KNOWN[transport]
    assert recognise(wrap(Wrapper(print).send)) is None  # type: ignore[arg-type]
    assert caplog.text == ""
    assert recognise(wrap(cls.__new__(cls).send)) is None
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
        (WebSocketsSansIOProtocol, direct_writes._NEEDED, direct_writes.recognise),
        (RequestResponseCycle, direct_writes._NEEDED_OF_RESPONSES, direct_writes.recognise_stream),
    ],
)
def test_another_uvicorn_is_told(
    cls: type[Any], needed: tuple[str, ...], recognise: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One whose object lacks what is needed; not one that is only not open."""
    assert recognise(bare(cls, needed).send) is None
    assert caplog.text == ""
    assert recognise(bare(cls, needed[1:]).send) is None
    assert "is not that of uvicorn 0.52.1" in caplog.text
