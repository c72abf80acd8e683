"""What an application might do beside a direct writer: send, close and vanish while frames are written."""

from __future__ import annotations

from typing import Any, Self

from starlette.types import Receive, Send

from asgi_push.protocols.wire import frame
from asgi_push.transports.direct_writes import DirectWriter, recognise


class Script:
    """What a script works with: ASGI's way to the client, and the direct way."""

    def __init__(self, receive: Receive, send: Send, writer: DirectWriter) -> None:
        self.receive = receive
        self._send = send
        self.writer = writer

    @classmethod
    async def accept(cls, receive: Receive, send: Send) -> Self:
        """Accept the client."""
        await receive()
        await send({"type": "websocket.accept"})
        return cls(receive, send, DirectWriter(recognise(send)))

    async def send(self, text: str) -> None:
        """Send a message by ASGI."""
        await self._send({"type": "websocket.send", "text": text})

    def write(self, text: str) -> bool:
        """Write a message directly."""
        return self.writer.write(frame(text.encode(), text=True))

    async def close(self) -> None:
        """Close by ASGI."""
        await self._send({"type": "websocket.close", "code": 4000, "reason": "over"})

    async def until_gone(self) -> None:
        """Wait until the client is gone."""
        while (await self.receive())["type"] != "websocket.disconnect":
            pass


results: dict[str, Any] = {}
left: list[Script] = []


async def close_and_write(script: Script) -> None:
    """Write after the application's own close."""
    assert script.write("before")
    await script.close()
    results["close_and_write"] = [script.write("late") for _ in range(3)]
    await script.until_gone()


async def write_when_closed(script: Script) -> None:
    """Write as soon as the client has closed, before the event loop goes on."""
    await script.until_gone()
    results["write_when_closed"] = [script.write("late") for _ in range(3)]


async def write_to_who_is_gone(script: Script) -> None:
    """Write to a connection that ended, whenever another client has come."""
    left.append(script)
    await script.until_gone()


async def come_after(script: Script) -> None:
    """Have the clients who left written to."""
    await script.receive()
    results["come_after"] = [one.write("not for you") for one in left]
    await script.send("for you")
    await script.until_gone()


async def fill(script: Script) -> None:
    """Write until no more is taken, and tell what the transport has held meanwhile."""
    taken, transport, most = 0, script.writer._transport, 0
    while script.write(f"{taken} ".ljust(10_000, ".")) and taken < 100_000:
        taken += 1
        most = max(most, transport.get_write_buffer_size())
    results["fill"] = [taken, most]
    await script.send("the end")
    await script.until_gone()


async def take_turns(script: Script) -> None:
    """Send and write by turns, faster than the client reads."""
    written = 0
    for number in range(4000):
        if number % 3 and script.write(f"{number}".ljust(300, ".")):
            written += 1
        else:
            await script.send(f"{number}".ljust(300, "."))
    results["take_turns"] = written
    await script.send("the end")
    await script.until_gone()


SCRIPTS = {
    script.__name__: script
    for script in (close_and_write, write_when_closed, write_to_who_is_gone, come_after, fill, take_turns)
}
