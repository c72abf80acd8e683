"""Time slices that tasks share."""

from __future__ import annotations

import pytest

from asgi_push import clock
from asgi_push.runtime.event_loop import on_trio
from asgi_push.runtime.time_slice import SharedSlice
from tests import asgi


async def test_a_slice_begins_anew_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who come at once are served until the time is over, however long ago the last slice was."""
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    shared = SharedSlice()
    for _ in range(3):
        assert not any(shared.over() for _ in range(1000))
        now += 1.0
        assert shared.over()
        await shared.next()
        now += 1.0
    assert not any(shared.over() for _ in range(1000))
    now += 1.0
    if not on_trio():  # it runs tasks in any order, and a slice lasts until somebody waits
        await asgi.until(lambda: not shared.over())
