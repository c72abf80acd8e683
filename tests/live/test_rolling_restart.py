"""Two servers behind a balancer are restarted one after the other, and nobody misses anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import httpx
import pytest

from asgi_push import Push
from tests.live.crowd import CHANNEL, SdkClient, tasks_of, until
from tests.servers import HOST, Serve, Server, free_port

CLIENTS = 500
DRAIN = 6.0  # seconds
APP = "tests.live.app:app"

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Balancer:
    """Gives each connection to the next server that says it is healthy, asking all the time, as balancers do."""

    def __init__(self, ports: list[int]) -> None:
        self.port = free_port()
        self.ports = ports
        self.healthy: list[int] = []
        self._pipes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, HOST, self.port, backlog=CLIENTS)
        asking = asyncio.create_task(self._ask())
        await until(lambda: len(self.healthy) == len(self.ports))
        try:
            yield
        finally:
            server.close()
            asking.cancel()
            for pipe in self._pipes:
                pipe.cancel()
            await asyncio.gather(asking, *self._pipes, return_exceptions=True)

    async def _ask(self) -> None:
        async with httpx.AsyncClient() as http:
            while True:
                healthy = []
                for port in self.ports:
                    with suppress(httpx.TransportError):
                        if (await http.get(f"http://{HOST}:{port}/push/health")).status_code == 200:
                            healthy.append(port)
                self.healthy = healthy
                await asyncio.sleep(0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until(lambda: self.healthy)  # on a slow machine none may have answered in time
        self.healthy.append(port := self.healthy.pop(0))
        try:
            to_reader, to_writer = await asyncio.open_connection(HOST, port)
        except OSError:
            writer.close()
            return
        for pair in ((reader, to_writer), (to_reader, writer)):
            pipe = asyncio.create_task(self._pipe(*pair))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                target.write(data)
        except OSError:
            pass
        finally:
            target.close()


def most_in_a_second(times: list[float]) -> int:
    """The most that fall into any one second."""
    times = sorted(times)
    return max(sum(start <= other < start + 1.0 for other in times) for start in times)


async def test_nothing_is_lost_and_nobody_storms(serve: Serve, redis: Server) -> None:
    """With 500 SDK clients and publications all the time: each gets all of them, in order and once; and they come back
    spread over the drain. No second sees what is due in four: a slow machine may stand still for three of them."""
    env = {
        "ASGI_PUSH_BROKER": redis.redis,
        "ASGI_PUSH_DRAIN_TIMEOUT": f"{DRAIN}",
        "ASGI_PUSH_PING_INTERVAL": "3600",  # these clients answer no ping
    }
    balancer = Balancer([free_port(), free_port()])
    came_back: list[float] = []
    clients = [SdkClient(f"ws://{HOST}:{balancer.port}/connection/websocket", came_back) for _ in range(CLIENTS)]
    with ExitStack() as stack:
        running = [stack.enter_context(serve(APP, port=port, env=env)) for port in balancer.ports]
        async with balancer.running(), Push(broker=redis.redis) as push, tasks_of(clients):
            await asyncio.gather(*(client.subscribed.wait() for client in clients))
            publishing = asyncio.create_task(publish(push))
            for server in running:
                came_back.clear()
                server.process.terminate()
                await until(lambda server=server: server.process.poll() is not None)
                restarted = serve(APP, port=server.port, env=env)
                await asyncio.to_thread(stack.enter_context, restarted)
                await until(lambda: len(balancer.healthy) == 2)
                assert len(came_back) >= CLIENTS // 4
                assert most_in_a_second(came_back) <= 4 * len(came_back) / DRAIN
            publishing.cancel()
            last = (await push.history(CHANNEL, limit=1, reverse=True)).position.offset
            await until(lambda: all(client.offset == last for client in clients) or any(c.wrong for c in clients))
            assert [wrong for client in clients for wrong in client.wrong] == []


async def publish(push: Push) -> None:
    """A publication every quarter of a second."""
    while True:
        await push.publish(CHANNEL, {"at": time.time()})
        await asyncio.sleep(0.25)
