"""Waits for many answers that come together."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any


async def all_done(calls: Iterable[Awaitable[Any]]) -> None:
    """Return when all calls are done; raise why the first of them failed that did.

    ``asyncio.gather`` with ``return_exceptions`` does the same, and has much to do for each call.
    Here those cost next to nothing that are done at the same time, as are the answers of one round
    trip.
    """
    waiting = [
        call if isinstance(call, asyncio.Future) else asyncio.ensure_future(call) for call in calls
    ]
    try:
        for call in waiting:
            if not call.done():
                await asyncio.wait([call])
    except asyncio.CancelledError:
        for call in waiting:
            call.add_done_callback(_look_at)
            call.cancel()
        raise
    for failure in [call.exception() for call in waiting]:
        if failure is not None:
            raise failure


def _look_at(call: "asyncio.Future[Any]") -> None:
    """Look at an exception that nobody waits for any more: asyncio would log it."""
    if not call.cancelled():
        call.exception()
