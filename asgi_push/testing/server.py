"""Serves an application on the event loop of the test, lifespan and all."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from ..push import Push
from ..runtime.tasks import run_detached
from .mailbox import Mailbox
from .tasks import TaskWatch
from .websocket import PATIENCE, AnyMessage, WebSocket, websocket_scope

AnyApp = Callable[..., Coroutine[Any, Any, None]]


class Server:
    """An application that runs; ``async with serve(app) as server`` gives it.

    It is an ASGI application itself, with the state of the lifespan: give it to
    ``httpx.ASGITransport(app=server)`` for requests.
    """

    def __init__(self, app: AnyApp, watch: TaskWatch) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self._watch = watch

    @property
    def push(self) -> Push:
        """The application's ``Push``.

        Raises:
            AssertionError: no PushMiddleware is around the application.
        """
        push = self.state.get("push")
        if not isinstance(push, Push):
            raise AssertionError("this application has no PushMiddleware that its lifespan reaches")
        return push

    @asynccontextmanager
    async def connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
    ) -> AsyncIterator[WebSocket]:
        """Connect a WebSocket; at the end of the block it is closed.

        Args:
            path: the path, with the query if there is one.
            headers: of the handshake.
            cookies: of the handshake, by name.
            subprotocols: what the client offers.

        Raises:
            Refused: the handshake was refused.
            AssertionError: the application serves it for 5 s after its client has closed.
        """
        scope = websocket_scope(path, headers or {}, cookies or {}, subprotocols)
        socket = WebSocket(self, scope)
        await socket.open()
        try:
            yield socket
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(Exception):  # the test has failed already
                await socket.close()
            raise
        await socket.close()

    async def __call__(self, scope: AnyMessage, receive: Any, send: Any) -> None:
        """Hand a scope to the application, with the state that its lifespan left."""
        if scope["type"] != "lifespan":
            scope = {**scope, "state": {**self.state, **scope.get("state", {})}}
        await self._watch.run(self.app(scope, receive, send))


@asynccontextmanager
async def serve(app: AnyApp) -> AsyncIterator[Server]:
    """Run an application on the event loop of the test: start it, and shut it down at the end.

    It may be entered and left in different tasks, as fixtures do.

    Raises:
        AssertionError: it did not start or did not shut down in 5 s, it failed to, or something
            is left: a task that still runs, or a ``Push`` that something else has started.
    """
    watch = TaskWatch()
    server = Server(app, watch)
    try:
        life = _Lifespan(server)
        await life.step("startup")
        try:
            yield server
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(Exception):  # the test has failed already
                await life.shut_down()
            raise
        await life.shut_down()
    finally:
        watch.stop()
    await _check(server, watch)


async def _check(server: Server, watch: TaskWatch) -> None:
    """Raise AssertionError if something is left for the next test."""
    push = server.state.get("push")
    if isinstance(push, Push) and push.running:
        raise AssertionError("push still runs: something has started it, and not stopped it")
    if left := await watch.left(PATIENCE):
        raise AssertionError(
            f"the application was shut down, and {len(left)} of its tasks still run: "
            f"{'; '.join(left[:10])}"
        )


class _Lifespan:
    """The lifespan of an application, in a task of its own."""

    def __init__(self, server: Server) -> None:
        self._app = server
        self._scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": server.state}
        self._finished = anyio.Event()
        self._error: BaseException | None = None
        self._to_app = Mailbox()
        self._from_app = Mailbox()
        self._task = run_detached(self._run)

    async def step(self, name: str) -> None:
        """Have the application start or shut down."""
        self._to_app.put({"type": f"lifespan.{name}"})
        answer: AnyMessage | None = None
        with anyio.move_on_after(PATIENCE):
            answer = await self._from_app.get()
        if answer is None:
            raise AssertionError(f"the {name} of the application took more than {PATIENCE:g} s")
        if self._error is not None:
            raise self._error
        if answer["type"] != f"lifespan.{name}.complete":
            message = answer.get("message", answer["type"])
            raise AssertionError(f"the {name} of the application failed: {message}")

    async def shut_down(self) -> None:
        """Have the application shut down, and wait until it has returned."""
        await self.step("shutdown")
        with anyio.move_on_after(PATIENCE):
            await self._finished.wait()
        if self._error is not None:
            raise self._error
        if not self._finished.is_set():
            raise AssertionError("the application was shut down, and its lifespan did not end")

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._to_app.get, self._answer)
        except BaseException as error:  # noqa: BLE001  # step and ended raise it
            self._error = error
        finally:
            self._finished.set()
            self._from_app.put({"type": "the application returned"})

    async def _answer(self, message: AnyMessage) -> None:
        self._from_app.put(message)
