"""What has ended is freed at once: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_push import ChannelOptions, Disconnect, Push, PushMiddleware, Session
from asgi_push.connection import Connection
from asgi_push.push import core_of
from asgi_push.transports.refusal import Refusal
from asgi_push.transports.websocket import WebSocketTransport
from tests.asgi import Refused, nothing, serve, until

PATHS = {"plain": "/ws/alice?channels=room:1", "sdk": "/connection/websocket", "sse": "/push/events?channels=room:1"}


@pytest.fixture
def no_collector() -> Iterator[None]:
    logging.disable(logging.CRITICAL)  # pytest keeps what is logged, and with a traceback all that it shows
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("end", ["leaves", "cancelled", "kicked", "fails"])
async def test_a_session_that_has_ended_is_freed(kind: str, end: str) -> None:
    """However it ended, once on_disconnect has been called."""
    seen: list[weakref.ref[Any]] = []

    def on_connect(session: Session) -> None:
        seen.append(weakref.ref(session))
        if end == "fails":
            raise ValueError("a bug of the application")

    push = Push(
        path="/ws/{user_id}",
        sse=True,
        authenticate=lambda _: "alice",
        authorize=lambda *_: True,
        on_connect=on_connect,
        on_disconnect=lambda *_: None,
        namespaces={"room": ChannelOptions(presence=True, join_leave=True)},
    )
    async with serve(PushMiddleware(nothing, push)) as server:
        more = {"type": "http", "method": "GET", "scheme": "http"} if kind == "sse" else {}
        client = server.begin(PATHS[kind], **more)
        if kind != "sse":
            await client.open()
        if kind == "sdk":
            client.send(json.dumps({"id": 1, "connect": {}}))
            client.send(json.dumps({"id": 2, "subscribe": {"channel": "room:1"}}))
        await until(lambda: seen)
        await push.publish("room:1", "hello")
        await core_of(push).hub.fanout.settled()
        if end == "kicked":
            await push.disconnect("alice")
        elif end == "cancelled":
            client.cancel()
        elif end == "leaves":
            client._in.put({"type": "http.disconnect"} if kind == "sse" else {"type": "websocket.disconnect"})
        if end in ("kicked", "fails") and kind != "sse":
            await client.receive_to_close()
        await client.finished.wait()
        await until(lambda: seen[0]() is None)


async def test_a_session_that_is_kept_keeps_no_connection() -> None:
    """An application may keep what it gets: it can be looked at, and sent nothing."""
    kept: list[Session] = []
    push = Push(path="/ws/{user_id}", on_connect=kept.append)
    async with serve(PushMiddleware(nothing, push)) as server:
        client = await server.connect("/ws/alice")
        await until(lambda: kept)
        (session,) = kept
        client.close()
        await client.ended()
        assert session.io._send is not client._send  # type: ignore[attr-defined]
        assert (session.protocol, session.transport, session.dropped) == ("plain", "websocket", 0)
        assert await session.send("too late") is False
        await session.close(Disconnect(4000, "too late"))
        await push.disconnect(session=session.id)
        assert "alice" in repr(session)


@pytest.mark.usefixtures("no_collector")
async def test_who_is_refused_leaves_nothing() -> None:
    """Nothing of this library is there that was not there before."""

    def count() -> int:
        return sum(type(item) in (Connection, WebSocketTransport, Refusal) for item in gc.get_objects())

    push = Push(path="/ws/{user_id}", authenticate=lambda _: None, anonymous=False)
    async with serve(PushMiddleware(nothing, push)) as server:
        with pytest.raises(Refused):
            await server.connect("/ws/alice")
        before = count()
        for _ in range(20):
            with pytest.raises(Refused):
                await server.connect("/ws/alice")
        assert count() <= before


def test_a_connection_that_has_ended_is_freed() -> None:
    """On uvicorn, which leaves none itself: of both protocols, of event streams, and of who is refused."""
    script = """
        import asyncio, gc, json, logging, socket
        import uvicorn, websockets
        from starlette.applications import Starlette
        from asgi_push import PushMiddleware
        from asgi_push.connection import Connection

        logging.disable(logging.CRITICAL)
        OURS = ("Connection", "WebSocketTransport", "EventStreamTransport")
        KINDS = ("WebSocketsSansIOProtocol", "RequestResponseCycle", *OURS)

        def count():
            return sum(type(item).__name__ in KINDS for item in gc.get_objects())

        async def plain(port):
            async with websockets.connect(f"ws://127.0.0.1:{port}/ws?u=a") as client:
                await client.send("ping")
                await client.recv()

        async def refused(port):
            try:
                await websockets.connect(f"ws://127.0.0.1:{port}/ws")
            except websockets.InvalidStatus:
                pass

        async def sdk(port):
            async with websockets.connect(f"ws://127.0.0.1:{port}/connection/websocket?u=a") as client:
                await client.send(json.dumps({"id": 1, "connect": {}}))
                await client.recv()

        async def stream(port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /push/events?u=a HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
            await reader.readuntil(b"event-stream")
            writer.close()
            await writer.wait_closed()

        async def main():
            app = PushMiddleware(
                Starlette(), sse=True, anonymous=False, authenticate=lambda c: c.query_params.get("u")
            )
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="websockets-sansio"))
            serving = asyncio.create_task(server.serve([listener]))
            for kind in (plain, refused, sdk, stream):
                for times in (1, 20):
                    gc.collect()
                    gc.disable()
                    before = count() if times > 1 else 1000
                    for _ in range(times):
                        await kind(port)
                    for _ in range(3000):
                        if count() <= before:
                            break
                        await asyncio.sleep(0.01)
                    if count() > before:
                        print(kind.__name__, count() - before)
                    gc.enable()
            server.should_exit = True
            await serving

        asyncio.run(main())
        print("done")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=170, check=False
    )
    assert ended.stdout == "done\n", ended.stdout + ended.stderr
