"""A server outside Python as a peer: its process on the server's core, and the publisher beside the load client."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from .. import machine

_START = 10  # until the server listens, in seconds
_ON_THEIR_WAY = 80  # publications without an answer yet: as many as in the batches to our own HTTP API
_ANSWER = b"HTTP/1.1 20"


def find(name: str) -> str | None:
    """Return the path of a program; servers are often in sbin, which is not on every user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def running(port: int, files: Mapping[str, str], command: Sequence[str]) -> AsyncIterator[int]:
    """Start a program in a folder of its own with these files, and wait until it listens; return its process id.

    The program stays on the core of this process, which then leaves it to the program.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).write_text(content)
        process = await asyncio.create_subprocess_exec(*command, cwd=folder)
        try:
            machine.pin(machine.CLIENT_CORE)
            async with asyncio.timeout(_START):
                await (await connect(port))[1].drain()
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as soon as a program listens."""
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            await asyncio.sleep(0.05)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Requests:
    """HTTP requests on one connection that do not wait for the answers before them."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, together: int = 1
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._head = head
        self._room = asyncio.Semaphore(_ON_THEIR_WAY // together)
        self._reading = asyncio.create_task(self._read())

    async def send(self, body: str) -> None:
        """Send a request, as soon as few enough are on their way."""
        await self._room.acquire()
        length = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(f"{self._head} HTTP/1.1\r\n{length}{body}".encode())

    async def _read(self) -> None:
        """Count the answers by what each begins with, which may come in two pieces."""
        rest = b""
        while chunk := await self._reader.read(65536):
            found = rest + chunk
            for _ in range(found.count(_ANSWER)):
                self._room.release()
            rest = found[found.rfind(_ANSWER) + 1 :][1 - len(_ANSWER) :]
