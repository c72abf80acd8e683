"""The memory broker under several workers."""

import signal
import sys
from pathlib import Path

import pytest

from tests.live.talking import PATIENCE, until
from tests.servers import COMMANDS, HOST, free_port, run_server

APP = "tests.live.alone:app"


def command(kind: str, port: int) -> list[str]:
    if kind == "gunicorn":
        return ["gunicorn", "--bind", f"{HOST}:{port}", "--worker-class", "uvicorn_worker.UvicornWorker"]
    return COMMANDS[kind](port)


@pytest.mark.parametrize(
    ("kind", "args", "workers"),
    [
        ("uvicorn-sansio", ["--workers", "3"], 3),
        ("uvicorn-sansio", ["--workers", "1"], 1),
        ("uvicorn-sansio", ["--reload", "--reload-dir", "tests/typing"], 1),
        ("gunicorn", ["--workers", "2"], 2),
        ("gunicorn", ["--workers", "1"], 1),
        ("hypercorn-asyncio", ["--workers", "2"], 2),
        ("hypercorn-asyncio", ["--workers", "1"], 1),
        ("granian", ["--workers", "2"], 2),
        ("granian", ["--workers", "1"], 1),
    ],
)
def test_several_workers_are_told(kind: str, args: list[str], workers: int, tmp_path: Path) -> None:
    """One loud line, whatever their number, that says what to do; and none where there is one worker."""
    port = free_port()
    line = [sys.executable, "-m", *command(kind, port), *args, APP]
    with run_server(kind, line, port=port, log_path=tmp_path / "log") as server:
        until(lambda: server.log().count("looked") == workers)
        told = [line for line in server.log().splitlines() if "SEVERAL WORKERS" in line]
    assert len(told) == (1 if workers > 1 else 0)
    assert all("ASGI_PUSH_BROKER=local://" in line for line in told)
    assert all(line.index("local://") < line.index("redis://") for line in told)


def test_a_worker_that_replaces_another_is_no_second_one(tmp_path: Path) -> None:
    """gunicorn starts the new worker before the old one ends, which takes longer on a busy machine."""
    assert any(nothing_is_told(grace, tmp_path) for grace in (1, 4, 16, 64))


def nothing_is_told(grace: float, folder: Path) -> bool:
    """Replace a worker by another, which looks after so many seconds; return whether it sees only itself."""
    port = free_port()
    line = [sys.executable, "-m", *command("gunicorn", port), "--workers", "1", APP]
    env = {"GRACE": f"{grace}"}
    with run_server("gunicorn", line, port=port, log_path=folder / f"log-{port}", env=env) as server:
        until(lambda: server.log().count("looked") == 1, grace + PATIENCE)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.log().count("looked") == 2, grace + PATIENCE)
        return "SEVERAL WORKERS" not in server.log()
