"""The workers of one server, jobs beside them and the command line, over an engine that they start themselves."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from asgi_push import Push
from tests.engines import nothing_runs, pair, processes, temporary_home
from tests.live.crowd import CHANNEL, PlainClient, tasks_of, until
from tests.servers import COMMANDS, HOST, PATIENCE, ROOT, Server, free_port, run_server

APP = "tests.live.app:app"
ENV = {"ASGI_PUSH_BROKER": "local://", "ASGI_PUSH_HISTORY_SIZE": "1000"}
WORKERS = 4

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary directory of servers that are started in the root of the repository, as this process is."""
    monkeypatch.chdir(ROOT)
    with temporary_home() as home:
        yield home
        nothing_runs(home)


def command(kind: str, port: int) -> list[str]:
    if kind == "gunicorn":
        options = ["--worker-class", "uvicorn_worker.UvicornWorker", "--preload"]
        return ["gunicorn", "--bind", f"{HOST}:{port}", *options]
    line = COMMANDS[kind](port)
    # On a busy machine a worker that is well may take longer than 5 seconds to say so.
    return [*line, "--timeout-worker-healthcheck", "60"] if kind.startswith("uvicorn") else line


def served(home: Path, kind: str = "uvicorn-sansio", workers: int = WORKERS) -> object:
    port = free_port()
    line = [sys.executable, "-m", *command(kind, port), "--workers", f"{workers}", APP]
    return run_server(kind, line, port=port, log_path=home / f"{port}.log", env=ENV)


def pages_of(server: Server, many: int) -> list[PlainClient]:
    return [PlainClient(f"{server.ws}/websocket/{user}?channels={CHANNEL}") for user in range(many)]


async def opened(pages: list[PlainClient]) -> None:
    await asyncio.gather(*(page.opened.wait() for page in pages))


async def got(pages: list[PlainClient], numbers: list[int]) -> None:
    await until(lambda: all(len(page.numbers) >= len(numbers) for page in pages))
    assert all(page.numbers == numbers for page in pages)


@pytest.mark.parametrize("kind", ["uvicorn-sansio", "gunicorn", "granian", "hypercorn-asyncio"])
async def test_all_workers_are_one(home: Path, kind: str) -> None:
    """A job and the command line reach the pages of all, and nothing is left when the server has ended."""
    workers = WORKERS if kind == "uvicorn-sansio" else 2
    with served(home, kind, workers) as server:
        pages = pages_of(server, 30)
        async with tasks_of(pages):
            await opened(pages)
            async with Push(broker="local://", history_size=1000) as push:
                for number in range(20):
                    await push.publish(CHANNEL, number)
                async with asyncio.timeout(PATIENCE):
                    while not await push.is_online("7"):  # noqa: ASYNC110  # its process says so a moment later
                        await asyncio.sleep(0.02)
            line = [sys.executable, "-m", "asgi_push", "publish", CHANNEL, "20"]
            await anyio.run_process(line, env={**os.environ, **ENV})
            await got(pages, list(range(21)))
        assert pair(home)
        assert "SEVERAL WORKERS" not in server.log()


async def test_everything_is_killed(home: Path) -> None:
    """Engine and keeper are gone soon, and the next start finds what they left behind no obstacle, and reads it."""
    with served(home, workers=2) as server:
        async with Push(broker="local://") as push:
            await push.publish(CHANNEL, 1)
        assert pair(home)
        for process in [*psutil.Process(server.process.pid).children(recursive=True), server.process]:
            process.kill()
    nothing_runs(home)
    async with Push(broker="local://") as push:
        assert [item.data for item in (await push.history(CHANNEL)).publications] == [1]


async def test_two_applications_do_not_meet(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in another directory has an engine of its own, as has one of another name."""
    with served(home, workers=2) as server:
        pages = pages_of(server, 10)
        async with tasks_of(pages):
            await opened(pages)
            async with Push(broker="local://other") as push:
                await push.publish(CHANNEL, 1)
            monkeypatch.chdir(home)
            async with Push(broker="local://") as push:
                await push.publish(CHANNEL, 2)
            monkeypatch.chdir(ROOT)
            async with Push(broker="local://") as push:
                await push.publish(CHANNEL, 3)
            await got(pages, [3])


async def test_where_nobody_reaps(home: Path) -> None:
    """With a server as the first process of a container no zombie of an engine is left, however many there were."""
    unshare = shutil.which("unshare")
    if unshare is None or (await anyio.run_process([unshare, "--pid", "--fork", "true"], check=False)).returncode:
        pytest.skip("a PID namespace cannot be made here")
    port = free_port()
    line = [unshare, "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m"]
    line += [*command("uvicorn-sansio", port), "--workers", "2", APP]
    with run_server("uvicorn", line, port=port, log_path=home / "log", env=ENV) as server:
        pages = pages_of(server, 2)
        async with tasks_of(pages):
            await opened(pages)
            for _ in range(3):
                (engine,) = [process for process in processes(home) if "valkey-server" in process.name()]
                engine.kill()
                await until(lambda: not psutil.pid_exists(engine.pid))  # noqa: B023  # waited for here
                await until(lambda: any("valkey-server" in process.name() for process in processes(home)))
        await asyncio.to_thread(server.stop)
