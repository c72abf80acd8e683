"""Metrics of several processes, added up."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from asgi_push import Push
from asgi_push.metrics import families, shared
from asgi_push.metrics.families import snapshot
from asgi_push.metrics.shared import SharedStats
from asgi_push.push import core_of
from tests.asgi import pushing, until
from tests.metrics.scraping import PLAIN, counted, numbers, of


@asynccontextmanager
async def sharing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Push, Any]]:
    monkeypatch.setenv(shared.VARIABLE, str(folder))
    async with pushing(metrics=True) as (push, server):
        yield push, server


async def test_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A scrape adds what other processes wrote; a dead one's sessions do not count, nor does a file that is broken."""
    folder = tmp_path / "made by the first"
    gone = 2**22 + 1  # above the largest process id of Linux
    async with sharing(folder, monkeypatch) as (push, server):
        await server.connect("/ws/alice")
        for name, pid, age in (("a", os.getpid(), 0), ("b", gone, 0), ("c", os.getpid(), 3600)):
            content = {"pid": pid, "alive": True, "numbers": families.dump(snapshot(counted(10, 100, 0.1)))}
            path = folder / f"asgi_push_{name}.json"
            folder.mkdir(exist_ok=True)
            path.write_bytes(orjson.dumps(content))
            os.utime(path, (path.stat().st_mtime - age,) * 2)
        (folder / "asgi_push_x.json").write_text("{")
        await push.send_to_user("alice", 1)
        await core_of(push).hub.fanout.settled()
        found = await numbers(server.app)
        assert of(found, "deliveries_total") == 31
        assert of(found, "sessions", **PLAIN, writes="ordinary") == 101
        assert "asgi_push_x.json cannot be read" in caplog.text
    left = SharedStats(folder, "reader").read()
    assert left["deliveries"] == {(): 31}
    assert left["sessions"]["plain", "websocket", "ordinary"] == 100, "what stops has no sessions any more"


def test_a_late_thread_writes_nothing_older(tmp_path: Path) -> None:
    """What was counted first and is written last does not come over what was counted later."""
    ours = SharedStats(tmp_path, "ours")
    ours.write(snapshot(counted(2, 1, 0.1)), 2)
    ours.write(snapshot(counted(1, 1, 0.1)), 1)
    assert ours.read()["deliveries"] == {(): 2}


async def test_shared_without_being_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process writes its numbers by itself, for those that are asked."""
    monkeypatch.setattr("asgi_push.hub.stats.INTERVAL", 0.01)
    async with sharing(tmp_path, monkeypatch) as (_, server):
        await server.connect("/ws/alice")
        reader = SharedStats(tmp_path, "reader")
        await until(lambda: reader.read()["sessions"].get(("plain", "websocket", "ordinary")) == 1)
