"""How a peer is served: by uvicorn with its defaults, or by the server that it brings along."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .peers import Built

HOST = "127.0.0.1"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what uvicorn would run on, uvloop where it is installed; the others get the same."""
    import uvicorn

    return uvicorn.Config("").get_loop_factory()


@asynccontextmanager
async def serving(built: Built) -> AsyncIterator[tuple[int, int]]:
    """Serve a peer on a free port, and return the port and the process that serves."""
    if built.program is not None:
        from .peers.program import free_port

        port = free_port()
        async with built.program(port) as pid:
            yield port, pid
        return
    with socket.create_server((HOST, 0), backlog=2048) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        if built.serve is not None:
            async with built.serve(listener):
                yield port, os.getpid()
        else:
            async with _uvicorn(built, listener):
                yield port, os.getpid()


@asynccontextmanager
async def _uvicorn(built: Built, listener: socket.socket) -> AsyncIterator[None]:
    import uvicorn

    # The two departures from the defaults: pings would be in the stream that the client knows in advance, and the
    # access log would be the larger part of an HTTP request.
    config = uvicorn.Config(built.app, ws_ping_interval=None, log_level="warning")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("uvicorn did not start")
        await asyncio.sleep(0.01)
    yield
    server.force_exit = server.should_exit = True
    await task
