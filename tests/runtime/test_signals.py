"""The signal itself: held back once, handed on as it was, and left alone where it is not ours."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import anyio
import pytest

from asgi_push import Push
from asgi_push.push import core_of
from asgi_push.runtime import signals
from asgi_push.runtime.signals import Sigterm
from tests.asgi import PATIENCE, until

came: list[int] = []


def server(signum: int, frame: FrameType | None) -> None:
    came.append(signum)


@pytest.fixture(autouse=True)
def _a_server_with_its_handler() -> Iterator[None]:
    came.clear()
    before = signal.signal(signal.SIGTERM, server)
    yield
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_it_is_held_back_and_handed_on() -> None:
    """The server has it when it is handed on, and its own handler again; then, and once released, no more of ours."""
    held = Sigterm()
    terminate()
    with anyio.fail_after(PATIENCE):
        await held.came.wait()
    assert came == []
    held.hand_on()
    held.hand_on()
    held.release()
    assert came == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is server


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has none
async def test_a_handler_of_the_event_loop_gets_it_too(anyio_backend: str) -> None:
    """And it gets every other signal all the time."""
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGUSR1):
        loop.add_signal_handler(signum, came.append, signum)
    try:
        held = Sigterm()
        terminate()
        await held.came.wait()
        signal.raise_signal(signal.SIGUSR1)
        await until(lambda: came == [signal.SIGUSR1])
        held.hand_on()
        await until(lambda: came == [signal.SIGUSR1, signal.SIGTERM])
    finally:
        for signum in (signal.SIGTERM, signal.SIGUSR1):
            loop.remove_signal_handler(signum)


async def test_a_second_one_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one within a second, which is the same that came by another way."""
    monkeypatch.setattr(signals, "_SAME_SIGNAL_TIME", PATIENCE)
    held = Sigterm()
    terminate()
    await held.came.wait()
    terminate()
    await anyio.lowlevel.checkpoint()
    assert came == []
    monkeypatch.setattr(signals, "_SAME_SIGNAL_TIME", 0.0)
    terminate()
    await until(lambda: came == [signal.SIGTERM])


async def test_what_is_released_goes_through() -> None:
    """Also where somebody else's handler, which calls ours, was put above it."""
    held = Sigterm()
    ours: Any = signal.getsignal(signal.SIGTERM)

    def above(signum: int, frame: FrameType | None) -> None:
        ours(signum, frame)

    signal.signal(signal.SIGTERM, above)
    held.release()
    terminate()
    await until(lambda: came == [signal.SIGTERM])


async def test_two_are_held_back_one_after_the_other() -> None:
    """As with two Push in one process."""
    first, second = Sigterm(), Sigterm()
    terminate()
    await second.came.wait()
    second.hand_on()
    await first.came.wait()
    assert came == []
    first.hand_on()
    await until(lambda: came == [signal.SIGTERM])


def test_the_event_loop_has_ended() -> None:
    """The server has it at once."""

    async def hold() -> Sigterm:
        return Sigterm()

    held = asyncio.run(hold())
    terminate()
    assert came == [signal.SIGTERM]
    held.release()


async def test_only_where_it_is_possible() -> None:
    """Not in another thread, not where it is ignored, and not without a time for it."""
    found = []
    thread = threading.Thread(target=lambda: found.append(Sigterm.possible()))
    thread.start()
    thread.join()
    assert found == [False]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert not Sigterm.possible()
    signal.signal(signal.SIGTERM, server)
    async with Push() as push:
        core_of(push).drain_at_sigterm()
        assert signal.getsignal(signal.SIGTERM) is server


async def test_it_ends_with_push() -> None:
    """Whatever stopped it."""
    async with Push(drain_timeout=1) as push:
        core_of(push).drain_at_sigterm()
        core_of(push).drain_at_sigterm()
        assert signal.getsignal(signal.SIGTERM) is not server
    assert signal.getsignal(signal.SIGTERM) is server


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of a fork beside a thread
async def test_a_forked_process_has_what_was_there_before() -> None:
    """It has no sessions to send away, and must end when it is told to."""

    def child() -> None:
        terminate()
        os._exit(len(came))

    async with Push(drain_timeout=1) as push:
        core_of(push).drain_at_sigterm()
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        with anyio.fail_after(PATIENCE):
            await anyio.to_thread.run_sync(process.join)
        assert process.exitcode == 1
        assert signal.getsignal(signal.SIGTERM) is not server
