"""What must hold of the projects of the page on publishing from elsewhere; see scenarios.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from tests import servers
from tests.docs.scenarios import PATIENCE, Stage


def publishing_elsewhere(stage: Stage) -> None:
    """The page's application with two workers, its users 11 and 12, and one after the other what publishes to them."""
    with ExitStack() as stack:
        redis = stack.enter_context(servers.run_redis(stage.folder))
        path = os.pathsep.join([str(servers.ROOT), str(stage.folder)])
        env = {"PYTHONPATH": path, "ASGI_PUSH_BROKER": redis.redis}
        server = stack.enter_context(servers.serve("app:app", args=["--workers", "2"], env=env, log_dir=stage.folder))
        mine, other = (stack.enter_context(connected(server, user)) for user in ("11", "12"))
        run = partial(subprocess.run, cwd=stage.folder, env={**os.environ, **env}, check=True, timeout=PATIENCE)
        run([sys.executable, "script.py"])
        assert mine.recv(PATIENCE) == '{"order":7,"status":"shipped"}'
        run([sys.executable, "job.py"])
        assert mine.recv(PATIENCE) == other.recv(PATIENCE) == '{"order":7,"status":"delayed"}'
        tasks = stage.folder / "tasks.py"
        tasks.write_text(tasks.read_text().replace("redis://localhost:6379", redis.redis))
        celery = [sys.executable, "-m", "celery", "--app", "tasks:celery"]
        # The task first: two that start at once take long on a busy machine.
        run([*celery, "call", "tasks.ship", "--args", '["11", 8]'], stdout=subprocess.DEVNULL)
        with working([*celery, "worker", "--concurrency", "1"], stage.folder, {**os.environ, **env}):
            assert mine.recv(PATIENCE) == '{"order":8,"status":"shipped"}'


@contextmanager
def connected(server: servers.Server, user: str) -> Iterator[ClientConnection]:
    with connect(f"{server.ws}/websocket/{user}", open_timeout=PATIENCE) as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
        yield client


@contextmanager
def working(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """A program that works until it is told to end."""
    with (folder / "working.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


SCENARIOS: dict[str, Callable[[Stage], None]] = {"publishing_elsewhere": publishing_elsewhere}
