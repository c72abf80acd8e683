"""The lifespan of the wrapped application: push starts before it and stops after it."""

from typing import NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import SettingsError
from .logs import logger, printable
from .push import Push


async def fail_startup(receive: Receive, send: Send, error: SettingsError) -> NoReturn:
    """Answer the server's start-up with an error, then raise it.

    A server takes an exception alone for "no lifespan", and goes on. Test clients show it.
    """
    await receive()
    await send({"type": "lifespan.startup.failed", "message": str(error)})
    raise error


class LifespanRun:
    """Runs an application's lifespan once, with a ``Push`` around it."""

    def __init__(self, push: Push, receive: Receive, send: Send) -> None:
        self._push = push
        self._receive = receive
        self._send = send
        self._running = False
        self._over = False  # the server shuts down
        self._answered = ""  # the last answer to the server

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application's lifespan. If it has none, or leaves it early, go on without it.

        An exception that the application raises after it has answered is raised here too: servers
        and test clients rely on that, and some raise one out of ``send`` when a start-up fails.
        """
        try:
            await self._run(app, scope)
        except GeneratorExit:  # the event loop has ended
            raise
        except BaseException:
            await self._stop()
            raise
        await self._stop()

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive_for_app, self._send_for_app)
        except Exception as error:
            if self._answered:
                raise
            logger.info("the wrapped application has no lifespan: %s", printable(repr(error)))
        await self._go_on()

    async def _go_on(self) -> None:
        """Send the server the answers that the application has not sent."""
        if not self._answered:
            if not self._running:
                await self._receive_for_app()
            await self._send_for_app({"type": "lifespan.startup.complete"})
        if self._answered == "lifespan.startup.complete":
            while not self._over:
                await self._receive_for_app()
            await self._send_for_app({"type": "lifespan.shutdown.complete"})

    async def _receive_for_app(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            await self._start()
        self._over = message["type"] == "lifespan.shutdown"
        return message

    async def _start(self) -> None:
        try:
            await self._push.start()
        except Exception as error:
            await self._send_for_app(
                {"type": "lifespan.startup.failed", "message": f"push did not start: {error}"}
            )
            raise
        self._running = True

    async def _send_for_app(self, message: Message) -> None:
        self._answered = message["type"]
        if message["type"] != "lifespan.startup.complete":
            await self._stop()
        await self._send(message)

    async def _stop(self) -> None:
        if self._running:
            self._running = False
            await self._push.stop()
