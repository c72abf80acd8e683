"""What tasks wait with: an event is seen once, and is not lost."""

from __future__ import annotations

import anyio

from asgi_push.runtime.sync import AutoResetEvent
from tests.asgi import PATIENCE


async def test_an_event_is_kept_until_it_is_waited_for() -> None:
    """Set before the wait or during it, it wakes the waiter once."""
    signal, woken = AutoResetEvent(), []

    async def wait() -> None:
        while True:
            await signal.wait()
            woken.append(True)

    signal.set()
    signal.set()
    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert len(woken) == 1
        signal.set()
        await anyio.wait_all_tasks_blocked()
        assert len(woken) == 2
        group.cancel_scope.cancel()


async def test_an_event_survives_a_wait_that_was_given_up() -> None:
    """A waiter that is cancelled leaves the signal to the next."""
    signal = AutoResetEvent()
    with anyio.move_on_after(0.001):
        await signal.wait()
    signal.set()
    with anyio.fail_after(PATIENCE):
        await signal.wait()
