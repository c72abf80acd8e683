"""The engine of ``local://`` and all that holds it up are killed under load: each client gets everything, once."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from asgi_push import BrokerError, Push
from tests.engines import nothing_runs, pair, temporary_home
from tests.live.crowd import CHANNEL, SdkClient, tasks_of, until
from tests.servers import HOST, ROOT, find_program, free_port, run_server

# LOCAL_DEATHS=10000 makes the large run of it: so many publications to 500 clients of four workers, which run from the
# wheel in a new venv, where no Redis can be found.
PUBLICATIONS = int(os.environ.get("LOCAL_DEATHS", "300"))
LARGE = "LOCAL_DEATHS" in os.environ
WORKERS = 4 if LARGE else 2
CLIENTS = 250 if LARGE else 20  # of each kind

ENV = {
    "ASGI_PUSH_BROKER": "local://",
    "ASGI_PUSH_HISTORY_SIZE": f"{PUBLICATIONS}",
    "ASGI_PUSH_PING_INTERVAL": "3600",  # a busy machine has other things to do
}

# All that a server may find on its PATH: what the engine's keeper is made of.
PROGRAMS = "sh", "grep", "sleep", "ps"

# How far the publisher may be ahead of the slowest client: nobody is to be cut off for not keeping up.
AHEAD = 400

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Sdk(SdkClient):
    """An SDK that comes back with its position when its subscription ends, or cannot be had now."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.expected_closes.add(1006)  # of a worker that is killed

    def _take(self, message: dict[str, Any]) -> None:
        if "unsubscribe" in message.get("push", {}) or message.get("error", {}).get("temporary"):
            raise ConnectionError
        super()._take(message)

    @property
    def seen(self) -> int:
        return self.offset


class Page:
    """A page that keeps ids, and comes back when its connection is lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ids: dict[str, str] = {}
        self.numbers: list[int] = []
        self.wrong: list[Any] = []
        self.subscribed = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._talk()
            except (OSError, WebSocketException):
                await asyncio.sleep(0.1)

    async def _talk(self) -> None:
        since = quote(orjson.dumps(self._ids)) if self._ids else ""
        async with connect(self._url + since, compression=None, ping_interval=None, open_timeout=60) as websocket:
            async for text in websocket:
                self._take(orjson.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "gap"}:
                self.wrong.append(message)
            case {"type": "welcome", "ids": ids}:
                self._ids |= ids
                self.subscribed.set()
            case {"channel": channel, "id": place, "data": int(number)}:
                self.numbers.append(number)
                self._ids[channel] = place

    @property
    def seen(self) -> int:
        return len(self.numbers)


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as home:
        yield home


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the application is, and nothing else."""
    folder = home / "application"
    folder.mkdir()
    (folder / "app.py").write_text((ROOT / "tests/live/app.py").read_text())
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def python(home: Path) -> str:
    """What runs the server: in the large run a new venv that has the wheel."""
    if not LARGE:
        return sys.executable
    faulthandler.cancel_dump_traceback_later()  # it may take its time
    wheels, venv = home / "wheels", home / "venv"
    for command in (
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", f"{wheels}", f"{ROOT}"],
        [sys.executable, "-m", "venv", f"{venv}"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    pip = [f"{venv}/bin/python", "-m", "pip", "install", "--quiet", f"{wheel}[local,demo]"]
    subprocess.run(pip, check=True, cwd=home)
    return f"{venv}/bin/python"


def served(home: Path, folder: Path, python: str) -> Any:
    path = home / "bin"
    path.mkdir()
    for program in PROGRAMS:
        (path / program).symlink_to(find_program(program))
    port = free_port()
    line = [python, "-m", "uvicorn", "--host", HOST, "--port", f"{port}", "--ws", "websockets-sansio"]
    line += ["--workers", f"{WORKERS}", "--timeout-worker-healthcheck", "60", "app:app"]
    env = ENV | {"PATH": f"{path}", "PYTHONPATH": "" if LARGE else f"{ROOT}"}
    return run_server("uvicorn", line, port=port, log_path=home / "log", env=env, cwd=folder)


def kill_engine(home: Path, *, with_worker: bool) -> None:
    """Kill the engine and its keeper; before them the worker that started these, so that it sees to nothing more."""
    ours = pair(home / f"asgi_push-{os.geteuid()}")
    victims = [*(process.parent() for process in ours[:1] if with_worker), *ours]
    for process in victims:
        assert process is not None
        process.send_signal(signal.SIGKILL)


def nothing_is_left(home: Path) -> None:
    """No process, and no socket."""
    nothing_runs(home)
    assert [path for path in home.rglob("*") if path.is_socket()] == []


async def publish_all(push: Push, clients: list[Any], home: Path) -> int:
    """Publish, as a careful caller does, and kill twice; return how often a publication was refused."""
    refused = 0
    numbers = iter(range(PUBLICATIONS))
    deaths = {PUBLICATIONS // 3: True, 2 * PUBLICATIONS // 3: False}

    async def publish() -> None:
        nonlocal refused
        for number in numbers:
            if number in deaths:
                await asyncio.to_thread(kill_engine, home, with_worker=deaths[number])
            await until(lambda: min(client.seen for client in clients) >= number - AHEAD)  # noqa: B023  # waited for here
            for attempt in count():
                try:
                    await push.publish(CHANNEL, number, idempotency_key=f"{number}")
                    break
                except BrokerError:
                    refused += 1
                    assert attempt < 1000
                    await asyncio.sleep(0.01)

    await asyncio.gather(*[publish() for _ in range(8)])
    return refused


async def test_nothing_is_lost(home: Path, folder: Path, python: str) -> None:
    """Killed twice with its keeper, once with the worker that started both, too; nothing is left at the end."""
    with served(home, folder, python) as server:
        await until(lambda: server.log().count("startup complete") == WORKERS)
        sdk = [Sdk(f"{server.ws}/connection/websocket") for _ in range(CLIENTS)]
        pages = [Page(f"{server.ws}/websocket/{user}?channels={CHANNEL}&since=") for user in range(CLIENTS)]
        clients: list[Any] = [*sdk, *pages]
        async with tasks_of(clients), Push(broker="local://", history_size=PUBLICATIONS) as push:
            await asyncio.gather(*(client.subscribed.wait() for client in clients))
            refused = await publish_all(push, clients, home)
            await until(lambda: all(client.seen >= PUBLICATIONS or client.wrong for client in clients))
            order = [item.data for item in (await push.history(CHANNEL)).publications]
        assert [wrong for client in clients for wrong in client.wrong] == []
        assert sorted(order) == list(range(PUBLICATIONS))
        assert all(page.numbers == order for page in pages)
        assert {client.offset for client in sdk} == {PUBLICATIONS}
        print(f"{refused} publications refused; {sum(client.connections for client in sdk)} connections of SDKs")
    nothing_is_left(home)
