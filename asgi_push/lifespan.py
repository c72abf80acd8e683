"""The lifespan of an application that is wrapped: start before it, stop after it, answer for one that has none."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import SettingsError
from .logs import logger, printable
from .push import Push


async def fail_startup(receive: Receive, send: Send, error: SettingsError) -> None:
    """Answer the server's start-up with an error: a server takes an exception here for "no lifespan", and goes on."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": str(error)})


class LifespanRun:
    """One run of an application's lifespan, with a ``Push`` around it."""

    def __init__(self, push: Push, receive: Receive, send: Send) -> None:
        self._push = push
        self._receive = receive
        self._send = send
        self._running = False
        self._answered: set[str] = set()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application's lifespan; where it has none, or fails at it, run without it to the server's end."""
        try:
            await app(scope, self._receive_for_app, self._send_for_app)
        except Exception as error:
            if "lifespan.startup.complete" in self._answered:
                await self._stop()
                raise
            if "lifespan.startup.failed" in self._answered:
                await self._stop()
                return
            logger.info("the wrapped application has no lifespan: %s", printable(repr(error)))
        if not self._answered:
            await self._run_alone()
        await self._stop()

    async def _run_alone(self) -> None:
        if not self._running:
            await self._receive_for_app()
        await self._send({"type": "lifespan.startup.complete"})
        while (await self._receive())["type"] != "lifespan.shutdown":
            pass
        await self._stop()
        await self._send({"type": "lifespan.shutdown.complete"})

    async def _receive_for_app(self) -> Message:
        message = await self._receive()
        if message["type"] == "lifespan.startup":
            await self._push.start()
            self._running = True
        return message

    async def _send_for_app(self, message: Message) -> None:
        self._answered.add(message["type"])
        if message["type"] != "lifespan.startup.complete":
            await self._stop()
        await self._send(message)

    async def _stop(self) -> None:
        if self._running:
            self._running = False
            await self._push.stop()
