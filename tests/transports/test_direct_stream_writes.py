"""What is taken for the ``send`` of uvicorn's own HTTP responses, and how parts of a body are written past it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import h11
import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import h11_impl, httptools_impl

from asgi_push.transports import direct_writes
from asgi_push.transports.direct_writes import StreamWriter, recognise_stream

MODULES = {"httptools": httptools_impl, "h11": h11_impl}


class Transport:
    """Takes what is written, as far as there is room."""

    def __init__(self) -> None:
        self.written = b""
        self.waiting = 0
        self.closing = False

    def get_extra_info(self, name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes) -> None:
        self.written += data


@pytest.fixture(params=MODULES)
def response(request: pytest.FixtureRequest) -> Any:
    """A response that has started, without a length, to a GET by HTTP/1.1."""
    cls = MODULES[request.param].RequestResponseCycle
    return make_response(cls)


def make_response(cls: Any) -> Any:
    response = cls.__new__(cls)
    response.transport = Transport()
    response.flow = SimpleNamespace(drain=None)
    response.scope = {"type": "http", "method": "GET"}
    response.response_started, response.response_complete = True, False
    if cls.__module__.endswith("h11_impl"):
        response.conn = SimpleNamespace(our_state=h11.SEND_BODY, their_http_version=b"1.1")
    else:
        response.chunked_encoding = True
    return response


def test_uvicorns_send_is_recognised(response: Any) -> None:
    """Of both HTTP protocols."""
    assert isinstance(recognise_stream(response.send), StreamWriter)


@pytest.mark.parametrize("name", direct_writes._NEEDED_OF_RESPONSES)
def test_a_response_that_lacks_something_is_not(response: Any, name: str) -> None:
    """An attribute that another version of uvicorn has no more is missed at the start, not at a write."""
    delattr(response, name)
    assert recognise_stream(response.send) is None


CHANGES: dict[str, Callable[[Any], object]] = {
    "not started": lambda response: setattr(response, "response_started", False),
    "complete": lambda response: setattr(response, "response_complete", True),
    "HEAD": lambda response: response.scope.update(method="HEAD"),
    "other flow control": lambda response: setattr(response, "flow", None),
}
HTTPTOOLS: dict[str, Callable[[Any], object]] = {
    "with a length": lambda response: setattr(response, "chunked_encoding", False),
    "no such thing": lambda response: delattr(response, "chunked_encoding"),
}
H11: dict[str, Callable[[Any], object]] = {
    "at its end": lambda response: setattr(response.conn, "our_state", h11.DONE),
    "HTTP/1.0, which ends by the connection's end": lambda response: setattr(
        response.conn, "their_http_version", b"1.0"
    ),
    "no connection": lambda response: delattr(response, "conn"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_response_in_another_state_is_not(response: Any, change: Callable[[Any], object]) -> None:
    """Nor one in which a chunk would mean something else."""
    change(response)
    assert recognise_stream(response.send) is None


@pytest.mark.parametrize("change", HTTPTOOLS.values(), ids=HTTPTOOLS)
def test_with_httptools(change: Callable[[Any], object]) -> None:
    """Only a body in chunks."""
    response = make_response(httptools_impl.RequestResponseCycle)
    change(response)
    assert recognise_stream(response.send) is None


@pytest.mark.parametrize("change", H11.values(), ids=H11)
def test_with_h11(change: Callable[[Any], object]) -> None:
    """Only a body in chunks, which is open."""
    response = make_response(h11_impl.RequestResponseCycle)
    change(response)
    assert recognise_stream(response.send) is None


def louder(send: Any) -> Any:
    @functools.wraps(send)
    async def louder(message: Any) -> None:
        await send(message)

    return louder


@pytest.mark.parametrize("wrap", [louder, functools.partial, lambda send: send.__self__.receive])
def test_a_wrapped_send_is_not(response: Any, wrap: Callable[[Any], Any]) -> None:
    """A middleware that looks at messages must see all of them."""
    assert recognise_stream(wrap(response.send)) is None


def test_a_subclass_is_not() -> None:
    """It may have its own ways."""
    for module in MODULES.values():
        subclass = type("Subclass", (module.RequestResponseCycle,), {"__module__": module.__name__})
        assert recognise_stream(make_response(subclass).send) is None


@pytest.mark.parametrize("name", [direct_writes._HTTPTOOLS, direct_writes._H11, "h11"])
def test_without_these_modules_nothing_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """On another server they are not loaded, and they are not loaded for the sake of looking."""
    responses = [make_response(module.RequestResponseCycle) for module in MODULES.values()]
    monkeypatch.delitem(sys.modules, name)
    found = [recognise_stream(response.send) is not None for response in responses]
    assert found == [name != direct_writes._HTTPTOOLS, name == direct_writes._HTTPTOOLS]


async def test_what_starlette_passes_all_on_to(response: Any) -> None:
    """Its outermost middleware, which is around every middleware that was added, sees the start and nothing else."""
    seen: list[Any] = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(send)

    class Ours:
        def __init__(self, app: Any) -> None:
            pass

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(send)

    app = Starlette()
    app.add_middleware(Ours)
    await app({"type": "http", "path": "/", "method": "GET", "headers": []}, None, response.send)  # type: ignore[arg-type]
    (send,) = seen
    assert send != response.send
    assert isinstance(recognise_stream(send), StreamWriter)


def test_parts_are_chunks(response: Any) -> None:
    """Each is one; one without bytes, which would be the end, is none."""
    writer = recognise_stream(response.send)
    assert writer is not None
    assert writer.write(b"x" * 26)
    assert writer.write(b"")
    assert response.transport.written == b"1a\r\n" + b"x" * 26 + b"\r\n"


@pytest.mark.parametrize("change", [
    lambda response: setattr(response, "response_complete", True),
    lambda response: setattr(response.transport, "closing", True),
    lambda response: setattr(response.transport, "waiting", 65_536),
], ids=["complete", "closing", "full"])  # fmt: skip
def test_nothing_is_written_where_it_must_not(response: Any, change: Callable[[Any], object]) -> None:
    """After the end, or while the peer does not read."""
    writer = recognise_stream(response.send)
    assert writer is not None
    change(response)
    assert not writer.write(b"x")
    assert response.transport.written == b""


def test_nothing_is_written_while_it_is_held(response: Any) -> None:
    """What waits in the session's queue comes first."""
    writer = recognise_stream(response.send)
    assert writer is not None
    writer.held = True
    assert not writer.write(b"too early")
    writer.held = False
    assert writer.write(b"now")
    assert response.transport.written == b"3\r\nnow\r\n"
