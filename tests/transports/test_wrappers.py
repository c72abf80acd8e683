"""Direct writes behind the middlewares that people wrap around an application, as they are installed."""

from __future__ import annotations

import functools
import re
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.middleware.sessions import SessionMiddleware
from websockets.sync.client import connect

from asgi_push.transports.wrappers import KNOWN, Wrapper, digest, unwrap
from tests.servers import PATIENCE, Serve, Server

# Behind these nothing changes but the speed.
PASSING = ["sessions", "sentry", "opentelemetry", "opentelemetry, sampled", "correlation", "all"]
PASSING_STREAMS = [*PASSING, "cors", "gzip"]
INSTALLED = [wrapper for wrapper in KNOWN if find_spec(wrapper.module.partition(".")[0])]
if not find_spec("starlette.middleware.opentelemetry"):  # Starlette has it from 1.7 on
    INSTALLED = [wrapper for wrapper in INSTALLED if not wrapper.module.endswith(".middleware.opentelemetry")]
else:
    PASSING_STREAMS.append("opentelemetry of starlette")


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve("tests.transports.wrapping:app") as server:
        yield server


@pytest.fixture(scope="module")
def named(serve: Serve) -> Iterator[Server]:
    """A server that runs the protocol of ours."""
    args = ["--ws", "asgi_push.uvicorn:WebSocketProtocol"]
    with serve("tests.transports.wrapping:app", args=args) as server:
        yield server


def count(server: Server, transport: str) -> dict[str, float]:
    """Return how many sessions of a transport are written to in which way, which the metrics tell."""
    text = httpx.get(server.http + "/push/metrics").text
    pattern = rf'asgi_push_sessions{{protocol="\w+",transport="{transport}",writes="(\w+)"}} (\S+)'
    return {writes: float(number) for writes, number in re.findall(pattern, text)}


def writes(server: Server, transport: str) -> str:
    """Return how the only session of a transport is written to; those of earlier tests may still be ending."""
    until = time.monotonic() + PATIENCE
    while sum((found := count(server, transport)).values()) != 1:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    (way,) = [way for way, number in found.items() if number]
    return way


@contextmanager
def streaming(server: Server, behind: str) -> Iterator[httpx.Response]:
    """Open an event stream as a page of another origin does, and read the first line of it."""
    url = f"{server.http}/push/events?behind={quote(behind)}"
    headers = {"Origin": "http://elsewhere", "Accept-Encoding": "gzip"}
    with httpx.stream("GET", url, headers=headers, timeout=PATIENCE) as stream:
        lines = stream.iter_lines()  # which closes the stream when nobody keeps it
        assert next(lines).startswith("retry")
        yield stream


def visit(server: Server, behind: str) -> tuple[str, str, Any]:
    """Return how a WebSocket's session is written to, what comes back for "quiet", and the accept's headers."""
    with connect(f"{server.ws}/ws?behind={quote(behind)}") as client:
        client.send("quiet")
        answer = str(client.recv(PATIENCE))
        assert client.response is not None
        return writes(server, "websocket"), answer, client.response.headers


@pytest.mark.parametrize("behind", ["nothing", *PASSING])
def test_websockets_are_written_to_directly(server: Server, behind: str) -> None:
    """Without doing anything, behind one of them and behind several."""
    assert visit(server, behind)[:2] == ("direct", "quiet")


@pytest.mark.parametrize("behind", PASSING_STREAMS)
def test_event_streams_are_written_to_directly(server: Server, behind: str) -> None:
    """From their second event on, as the first one starts them."""
    with streaming(server, behind):
        assert writes(server, "sse") == "direct"


def test_what_goes_out_at_the_start_goes_out(server: Server) -> None:
    """With a response a cookie and the trace, with the accept of a WebSocket the trace."""
    with streaming(server, "sessions") as stream:
        assert "session" in stream.cookies
    with streaming(server, "all") as stream:
        assert "traceresponse" in stream.headers
    assert "traceresponse" in visit(server, "opentelemetry, sampled")[2]


def test_a_middleware_finds_its_context_variables(server: Server) -> None:
    """Whoever sends: an event stream is started, and messages are sent, by tasks that know no connection."""
    assert visit(server, "identified")[:2] == ("ordinary", "quiet")
    with streaming(server, "identified") as stream:
        assert stream.headers["x-id"] == "7"
    with streaming(server, "correlation") as stream:
        assert "x-request-id" in stream.headers


@pytest.mark.parametrize("behind", ["louder", "louder, sessions", "sessions, louder"])
def test_nothing_goes_around_what_changes_messages(server: Server, behind: str) -> None:
    """Wherever it stands among the others."""
    assert visit(server, behind)[:2] == ("ordinary", "QUIET")


def test_nothing_goes_around_a_hook_of_the_application(server: Server) -> None:
    """OpenTelemetry's shows it each message that is sent."""
    assert visit(server, "hook")[:2] == ("ordinary", "quiet")


@pytest.mark.parametrize("behind", ["nothing", "louder", "all", "hook"])
def test_by_name_every_wrapper_stands_outside(named: Server, behind: str) -> None:
    """With our protocol in uvicorn; what a wrapper does at the accept still happens."""
    how, answer, headers = visit(named, behind)
    assert (how, answer) == ("direct", "quiet")
    assert ("x-louder" in headers) == (behind == "louder")


def test_a_session_that_has_ended_is_counted_no_more(server: Server) -> None:
    """Neither among the direct ones nor among the others."""
    for behind, way in (("sessions", "direct"), ("louder", "ordinary"), ("nothing", "direct")):
        with streaming(server, behind):
            assert writes(server, "sse") == way


# -- what is taken for a known wrapper ------------------------------------------------------------------------------


async def server_send(message: Any) -> None: ...


async def behind_sessions() -> Any:
    """The ``send`` that Starlette's middleware for sessions hands on."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(send)

    middleware = SessionMiddleware(app, "x")
    await middleware({"type": "websocket", "headers": []}, server_send, server_send)
    return seen[0]


async def test_a_known_wrapper_is_unwrapped() -> None:
    """As often as it is there; what is none stays what it is."""
    send = await behind_sessions()
    assert unwrap(send) is server_send
    assert unwrap(server_send) is server_send
    partial = functools.partial(send)
    assert unwrap(partial) is partial


CHANGES: dict[str, Callable[[types.FunctionType], Any]] = {
    "of another module": lambda send: types.FunctionType(
        send.__code__, {**send.__globals__}, send.__name__, None, send.__closure__
    ),
    "a partial": functools.partial,
    "a method": lambda send: types.MethodType(send, object()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_only_looks_like_one_is_not(change: Callable[[Any], Any]) -> None:
    """Its name and its text are not enough."""
    changed = change(await behind_sessions())
    assert unwrap(changed) is changed


async def test_another_version_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says anything else: who knows what it does."""
    source = "class SessionMiddleware:\n def __call__(self, send):\n  async def send_wrapper(message):\n"
    source += "   await send(dict(message, text=''))\n  return send_wrapper\n"
    module = sys.modules["starlette.middleware.sessions"]
    namespace = vars(module).copy()
    exec(compile(source, "nowhere.py", "exec"), vars(module))
    made = module.SessionMiddleware().__call__(server_send)
    vars(module).update(namespace)
    assert made.__code__.co_qualname == "SessionMiddleware.__call__.<locals>.send_wrapper"
    assert unwrap(made) is made


def _functions(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _functions(constant)


@pytest.mark.parametrize("wrapper", INSTALLED, ids=lambda wrapper: wrapper.module)
def test_what_is_installed_is_known(wrapper: Wrapper) -> None:
    """Before you add a digest, read what the function does now: it must leave data alone."""
    spec = find_spec(wrapper.module)
    assert spec is not None
    assert spec.origin is not None
    top = compile(Path(spec.origin).read_text(encoding="utf-8"), spec.origin, "exec")
    found = [digest(code) for code in _functions(top) if code.co_qualname == wrapper.function]
    assert set(found) & wrapper.texts, f"{wrapper.module}, {wrapper.function}: {found}"


def test_layout_does_not_count() -> None:
    """Nor do annotations, comments and docstrings; what a function does, does."""

    def make() -> Callable[[dict[str, str]], None]:
        def send(message: dict[str, str]) -> None:
            """Says something."""
            print(message["type"])  # and nothing else

        return send

    def make_again() -> Any:
        def send(message):  # type: ignore[no-untyped-def]
            print(
                message["type"]
            )  # fmt: skip

        return send

    def make_another() -> Any:
        def send(message):  # type: ignore[no-untyped-def]
            print(message["text"])

        return send

    first, again, another = (digest(each().__code__) for each in (make, make_again, make_another))
    assert first == again != another
