"""Push serves one event loop at a time; with another, the error says what a test has to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asgi_push import NotRunningError, Push


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_a_loop_that_was_left() -> None:
    """A fixture that starts on one loop and a test on another are told to share one."""
    push = Push()
    with event_loop() as of_fixture, event_loop() as of_test:
        of_fixture.run_until_complete(push.start())
        with pytest.raises(NotRunningError, match=r"started on another event loop.*loop_scope"):
            of_test.run_until_complete(push.send_to_all("hello"))
        of_fixture.run_until_complete(push.stop())
        with pytest.raises(NotRunningError, match=r"Push is not running: .* with block"):
            of_test.run_until_complete(push.send_to_all("hello"))
