"""The servers of a soak, and what befalls them."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from asgi_push import StreamPosition
from tests.brokers.faulty import KEEPING, FaultyRedis
from tests.endpoints.centrifuge.proxy import Proxy
from tests.engines import processes
from tests.servers import HOST, Server, free_port, serve
from tests.soak.ledger import Ledger

APP = "tests.soak.app:app"

# Little room for a slow reader, so that it is found; heartbeats soon, but later than a nap is long.
SETTINGS = {
    "ASGI_PUSH_QUEUE_BYTES": "131072",
    "ASGI_PUSH_HISTORY_SIZE": "500",
    "ASGI_PUSH_PING_INTERVAL": "10",
    "ASGI_PUSH_DRAIN_TIMEOUT": "2",
    "ASGI_PUSH_SSE": "true",
}

ARGS = ["--log-level", "warning", "--ws-ping-interval", "3600", "--ws-max-size", "600000"]
ARGS += ["--timeout-graceful-shutdown", "5"]


class Worker:
    """One uvicorn at one port, whatever happens to it."""

    def __init__(self, folder: Path, broker: str, number: int) -> None:
        self.number = number
        self.port = free_port()
        self._folder = folder
        self._env = {**SETTINGS, "ASGI_PUSH_BROKER": broker, "TMPDIR": str(folder)}
        self._stack = ExitStack()
        self._server: Server | None = None

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        args = [
            "--log-level",
            "warning",
            "--ws-ping-interval",
            "3600",
            "--timeout-graceful-shutdown",
            "5",
            "--ws-max-size",
            "200000",
        ]
        served = serve(APP, port=self.port, env=self._env, args=args, log_dir=self._folder)
        self._server = self._stack.enter_context(served)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, and return when it has ended."""
        if self._server is not None:
            self._server.process.send_signal(number)
            self._server.stop(30)
            self._stack.close()
            self._server = None

    def log(self) -> str:
        """Return what it said."""
        return "".join(path.read_text(errors="replace") for path in self._folder.glob(f"*{self.port}.log"))

    async def ask(self, path: str) -> Any:
        """Return what it says of itself."""
        async with httpx.AsyncClient(timeout=60, verify=False) as http:
            return (await http.get(f"http://{HOST}:{self.port}{path}")).raise_for_status().json()


class House:
    """The workers, and the Redis between them if there is one."""

    def __init__(self, folder: Path, broker: str, ledger: Ledger, seed: str) -> None:
        self.ledger = ledger
        self._random = random.Random(f"{seed} faults")
        self._http: httpx.AsyncClient | None = None
        self._down: set[int] = set()  # numbers of workers
        self.redis: FaultyRedis | None = None
        self.proxy: Proxy | None = None
        self._redis_folder = folder / "redis"
        if broker == "redis":
            self._redis_folder.mkdir()
            self.redis = FaultyRedis(self._redis_folder, *KEEPING)
            self.redis.start()
            self.proxy = Proxy(self.redis.port)
            near = f"redis://{HOST}:{self.proxy.port}"
            urls = [near, near, self.redis.url]  # one that is not cut off when the others are
        else:
            urls = ["local://soak"] * 2 if broker == "local" else ["memory://"]
        self._engines = folder if broker == "local" else None  # they are in the temporary directory of the workers
        self.workers = [Worker(folder, url, number) for number, url in enumerate(urls)]

    def close(self) -> None:
        """Stop everything."""
        if self.redis is not None:
            self.redis.resume()
        for worker in self.workers:
            worker.end(signal.SIGKILL)
        if self.proxy is not None:
            self.proxy.close()
        if self.redis is not None:
            self.redis.close()
        self._kill_engines()

    def ports(self) -> list[int]:
        """Return where clients may come to; a balancer finds out late who is down."""
        up = [worker.port for worker in self.workers if worker.number not in self._down]
        return up if up and self._random.random() < 0.9 else [worker.port for worker in self.workers]

    async def publish(self, channel: str, data: dict[str, Any], key: str | None) -> StreamPosition:
        """Publish through any worker; OSError if it did not say that it did."""
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=30, verify=False)
        order = {"channel": channel, "data": data, "key": key}
        port = self._random.choice(self.ports())
        try:
            answer = await self._http.post(f"http://{HOST}:{port}/publish", json=order)
        except httpx.TransportError as error:
            raise OSError(str(error)) from error
        if answer.status_code == 503:
            raise OSError(answer.text)
        return StreamPosition(*answer.raise_for_status().json())

    async def hang_up(self) -> None:
        """Close the connections by which was published."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    # -- what befalls them --------------------------------------------------------------------------------------------

    async def storm(self, *, workers: bool) -> None:
        """Let one thing befall them after the other; the first worker lives, where there are others."""
        every: list[Callable[[], Awaitable[None]]] = []
        if workers:
            every += [self.kill_worker, self.stop_worker]
        if self.redis is not None:
            every += [self.cut, self.silence, self.pause, self.crash, self.drop, self.empty]
        if self._engines is not None:
            every += [self.kill_engine]
        weights = [0.3 if fault == self.empty else 1.0 for fault in every]
        while every:
            await asyncio.sleep(self._random.uniform(3, 20))
            [fault] = self._random.choices(every, weights)
            what = (fault.__doc__ or "").rstrip(".")
            self.ledger.counts[what] += 1
            self.ledger.say(f"{time.strftime('%H:%M:%S')} {what}")
            task = asyncio.create_task(_finish(fault))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                await task  # nothing is left half done
                raise

    async def kill_worker(self) -> None:
        """Worker killed."""
        await self._restart_worker(signal.SIGKILL)

    async def stop_worker(self) -> None:
        """Worker stopped in an orderly way."""
        await self._restart_worker(signal.SIGTERM)

    async def _restart_worker(self, number: int) -> None:
        worker = self._random.choice(self.workers[1:] or self.workers)
        await asyncio.to_thread(worker.end, number)
        self._down.add(worker.number)
        await asyncio.sleep(self._random.uniform(0, 2))
        await asyncio.to_thread(worker.start)
        self._down.discard(worker.number)

    async def kill_engine(self) -> None:
        """Engine killed."""
        self._kill_engines()

    def _kill_engines(self) -> None:
        for process in processes(self._engines) if self._engines is not None else ():
            with suppress(psutil.Error):
                process.kill()

    async def cut(self) -> None:
        """Redis cut off with a reset."""
        assert self.proxy is not None
        await asyncio.to_thread(self.proxy.cut)
        await asyncio.sleep(self._random.uniform(0, 4))
        self.proxy.restore()

    async def silence(self) -> None:
        """Redis cut off without a word."""
        assert self.proxy is not None
        self.proxy.silence()

    async def pause(self) -> None:
        """Redis paused."""
        assert self.redis is not None
        self.redis.pause()
        await asyncio.sleep(self._random.uniform(0.1, 8))
        self.redis.resume()

    async def crash(self) -> None:
        """Redis killed and started with its data."""
        await self._restart_redis(empty=False)

    async def empty(self) -> None:
        """Redis killed and started without its data."""
        await self._restart_redis(empty=True)

    async def _restart_redis(self, *, empty: bool) -> None:
        assert self.redis is not None
        await asyncio.to_thread(self.redis.kill)
        await asyncio.sleep(self._random.uniform(0, 3))
        if empty:
            shutil.rmtree(self._redis_folder / "appendonlydir")
        await asyncio.to_thread(self.redis.start)

    async def drop(self) -> None:
        """Redis closed its connections of a kind."""
        assert self.redis is not None
        await asyncio.to_thread(self.redis.kill_connections, self._random.choice(["normal", "pubsub"]))


async def _finish(fault: Callable[[], Awaitable[None]]) -> None:
    await fault()


@contextmanager
def house(folder: Path, broker: str, ledger: Ledger, seed: str) -> Iterator[House]:
    """Start the servers, and stop them."""
    found = House(folder, broker, ledger, seed)
    try:
        for worker in found.workers:
            worker.start()
        yield found
    finally:
        found.close()
