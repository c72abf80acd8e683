"""An ASGI server in process: its clients need no socket, and what goes wrong with them goes wrong at a word."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_push import Push, PushMiddleware, clock
from asgi_push.push import core_of
from asgi_push.testing.mailbox import Mailbox
from tests.servers import PATIENCE


class Refused(Exception):
    """The handshake was refused with an HTTP status; a server makes 403 of a close before accept."""

    def __init__(self, status: int, body: str = "", headers: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


class Closed(Exception):
    """The application closed the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Client:
    """One WebSocket: what its client does, and how the server's ``send`` behaves meanwhile."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.accepted: Message = {}
        self.finished = anyio.Event()  # the application has returned
        self.error: Exception | None = None  # what it raised
        self.sending = anyio.Event()  # a send has begun to wait
        self.stuck = 0  # sends that wait
        self._scope = anyio.CancelScope()
        self._in, self._out = Mailbox(), Mailbox()
        self._writable = anyio.Event()
        self._writable.set()
        self._failure: Exception | None = None
        self._failing = ""

    # -- what the client does ---------------------------------------------------------------------------------------

    def send(self, data: str | bytes) -> None:
        """Send a text or a binary message."""
        self._in.put({"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data})

    def close(self, code: int = 1001, reason: str = "") -> None:
        """Close, or vanish in a way that the server sees."""
        self._in.put({"type": f"{self.scope['type']}.disconnect", "code": code, "reason": reason})

    async def message(self) -> Message:
        """Return the next that the application sends, as it is in ASGI."""
        with anyio.fail_after(PATIENCE):
            message: Message = await self._out.get()
        return message

    async def receive(self) -> str | bytes:
        """Return the next message; Closed if it is the application's close."""
        message = await self.message()
        if message["type"] == "websocket.close":
            raise Closed(message["code"], message.get("reason", ""))
        data: str | bytes = message["text"] if "text" in message else message["bytes"]
        return data

    async def receive_close(self) -> Closed:
        """Return the application's close; a message before it is an error."""
        try:
            message = await self.receive()
        except Closed as closed:
            return closed
        raise AssertionError(f"{message!r} instead of a close")

    async def receive_to_close(self) -> tuple[list[str | bytes], Closed]:
        """Return all messages up to the application's close, and that."""
        messages = []
        while True:
            try:
                messages.append(await self.receive())
            except Closed as closed:
                return messages, closed

    async def blocked(self) -> None:
        """Wait until a send waits."""
        with anyio.fail_after(PATIENCE):
            await self.sending.wait()

    def take(self) -> Message | None:
        """Return the next that the application has sent, as it is in ASGI, or None if nothing has come."""
        return self._out.items.popleft() if self._out.items else None

    @property
    def waiting(self) -> list[Message]:
        """What the application has sent and nobody received yet."""
        return list(self._out.items)

    # -- what the server does ---------------------------------------------------------------------------------------

    def block(self) -> None:
        """From now on ``send`` waits: the peer does not read."""
        if self._writable.is_set():
            self._writable = anyio.Event()
            self.sending = anyio.Event()

    def unblock(self) -> None:
        """The peer reads again."""
        self._writable.set()

    def fail(self, error: Exception, only: str = "") -> None:
        """From now on ``send`` raises, also one that waits; or does so for one type of message only."""
        self._failure, self._failing = error, only
        self._writable.set()

    def cancel(self) -> None:
        """Cancel the application, as some servers do when they shut down."""
        self._scope.cancel()

    async def ended(self) -> None:
        """Wait until the application has returned; raise what it raised."""
        with anyio.fail_after(PATIENCE):
            await self.finished.wait()
        if self.error is not None:
            raise self.error

    async def run(self, app: ASGIApp) -> None:
        """Serve it by ``app``."""
        try:
            with self._scope:
                await app(self.scope, self._in.get, self._send)
        except Exception as error:  # noqa: BLE001  # shown by ended() and at the server's end
            self.error = error
        finally:
            self.finished.set()
            self._out.put({"type": "ended"})

    async def _send(self, message: Message) -> None:
        if not self._writable.is_set():
            self.stuck += 1
            self.sending.set()
            try:
                await self._writable.wait()
            finally:
                self.stuck -= 1
        if self._failure is not None and message["type"].endswith(self._failing):
            raise self._failure
        self._out.put(message)
        if message["type"] == "websocket.http.response.body":  # uvicorn says it twice, and refusals wait for that
            for _ in range(2):
                self._in.put({"type": "websocket.disconnect", "code": 1006})

    async def open(self) -> None:
        """Wait for the accept; Refused if there is none."""
        self._in.put({"type": "websocket.connect"})
        with anyio.fail_after(PATIENCE):
            message = await self._out.get()
            match message["type"]:
                case "websocket.accept":
                    self.accepted = message
                case "websocket.close":
                    raise Refused(403)
                case "websocket.http.response.start":
                    body = await self._out.get()
                    raise Refused(message["status"], body["body"].decode(), dict(message["headers"]))
                case _:
                    await self.ended()
                    raise AssertionError("the application returned and accepted nothing")


class Server:
    """Runs an application's scopes until ``serve`` ends."""

    def __init__(self, app: ASGIApp, tasks: TaskGroup) -> None:
        self.app = app
        self.clients: list[Client] = []
        self.state: dict[str, Any] = {}
        self._tasks = tasks

    def begin(
        self,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        **scope: Any,
    ) -> Client:
        """Start a client whose handshake is under way: ``await client.open()`` ends it."""
        path, _, asked = path.partition("?")
        client = Client(
            {
                "type": "websocket",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "scheme": "ws",
                "path": path,
                "raw_path": path.encode(),
                "query_string": (query or asked).encode(),
                "root_path": "",
                "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
                "client": ("192.0.2.1", 50_000),
                "server": ("testserver", 80),
                "subprotocols": list(subprotocols),
                "state": self.state.copy(),
                "extensions": {"websocket.http.response": {}},
                **scope,
            }
        )
        self.clients.append(client)
        self._tasks.start_soon(client.run, self.app)
        return client

    async def connect(self, path: str, **scope: Any) -> Client:
        """Return a client once it is accepted; Refused if it is not."""
        client = self.begin(path, **scope)
        await client.open()
        return client

    async def hang_up(self) -> None:
        """Close all clients from their side."""
        for client in self.clients:
            client.unblock()
            client.close()
        for client in self.clients:
            await client.ended()


class Lifespan:
    """The lifespan of an application, one step at a time."""

    def __init__(self, app: ASGIApp, state: dict[str, Any] | None = None) -> None:
        self.scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {} if state is None else state}
        self.finished = anyio.Event()
        self.error: Exception | None = None
        self._app = app
        self._in, self._out = Mailbox(), Mailbox()

    async def run(self) -> None:
        """Run the application's lifespan to its end."""
        try:
            await self._app(self.scope, self._in.get, self._send)
        except Exception as error:  # noqa: BLE001  # shown by step()
            self.error = error
        finally:
            self.finished.set()
            self._out.put(None)

    async def _send(self, message: Message) -> None:
        self._out.put(message)

    async def step(self, what: str) -> Message:
        """Send ``lifespan.<what>`` and return the answer; an application that ends instead raises what it raised."""
        self._in.put({"type": f"lifespan.{what}"})
        with anyio.fail_after(PATIENCE):
            message: Message | None = await self._out.get()
            if message is None:
                raise self.error or AssertionError("the application returned and answered nothing")
            return message

    async def ended(self) -> None:
        """Wait until the application has returned."""
        with anyio.fail_after(PATIENCE):
            await self.finished.wait()


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[Lifespan]:
    """Run the lifespan of ``app`` beside a test that takes its steps."""
    run = Lifespan(app)
    async with _task_group() as tasks:
        tasks.start_soon(run.run)
        yield run
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[Server]:
    """Serve ``app``, lifespan and all; at the end its clients hang up before it shuts down."""
    async with _task_group() as tasks:
        server = Server(app, tasks)
        life = Lifespan(app, server.state)
        tasks.start_soon(life.run)
        assert (await life.step("startup"))["type"] == "lifespan.startup.complete"
        yield server
        await server.hang_up()
        assert (await life.step("shutdown"))["type"] == "lifespan.shutdown.complete"
        await life.ended()
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _task_group() -> AsyncIterator[TaskGroup]:
    """A task group that lets an error of its body out as it is, not in a group."""
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # raised below
            failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application with a lifespan and nothing else: whatever comes to it came too far."""
    assert scope["type"] == "lifespan", f"{scope['type']} {scope['path']} came through to the application"
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def pushing(**options: Any) -> AsyncIterator[tuple[Push, Server]]:
    """A Push with a server around it, which takes the user from its path: ``await server.connect("/ws/alice")``."""
    push = Push(**({"path": "/ws/{user_id}"} | options))
    async with serve(PushMiddleware(nothing, push)) as server:
        yield push, server


class Clock:
    """The time by which sessions live and die: what a test adds, and a part of the real one beside it.

    That part is small, so that a machine that stands still for a second changes nothing.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, part: float = 0.001) -> None:
        self.ahead = 0.0
        self._part = part
        self._began, self._date = time.monotonic(), time.time()
        monkeypatch.setattr(clock, "monotonic", self.monotonic)
        monkeypatch.setattr(clock, "now", self.time)

    def monotonic(self) -> float:
        return self._began + self._passed()

    def time(self) -> float:
        return self._date + self._passed()

    def _passed(self) -> float:
        return self.ahead + (time.monotonic() - self._began) * self._part

    async def advance(self, push: Push, seconds: float) -> None:
        """Let so much time pass, and the hub's timer do what is due by then."""
        self.ahead += seconds
        signal = core_of(push).hub._timer._changed
        signal.set()
        await until(lambda: signal._event is not None and not signal._set)  # it waits again


async def until(happened: Callable[[], object]) -> None:
    """Return once ``happened()`` is true."""
    with anyio.fail_after(PATIENCE):
        while not happened():  # noqa: ASYNC110  # there is no event for everything
            await anyio.sleep(0.001)


async def until_answer(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask until the answer is the one that is wanted: others, whom nobody waits for, change it."""
    with anyio.fail_after(PATIENCE):
        while await ask() != wanted:  # noqa: ASYNC110  # there is no event for everything
            await anyio.sleep(0.01)
