"""The hook for what nobody confirmed in time."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, Publication, Push, SettingsError
from asgi_push.inbox import undelivered
from asgi_push.push import core_of
from tests.asgi import PATIENCE, Clock, Mailbox, pushing, until
from tests.inbox.test_inbox import gone, house, kept, sdk

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undelivered, "_POLL", 0.01)


class Away:
    """A hook that notes what it is called with, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = Mailbox()
        self.failures = failures
        self.let: anyio.Event | None = None

    async def __call__(self, user: str, publication: Publication) -> None:
        self.calls.put((user, publication.data))
        if self.failures:
            self.failures -= 1
            raise OSError("the mail server")
        if self.let is not None:
            await self.let.wait()

    async def next(self) -> Any:
        with anyio.fail_after(PATIENCE):
            return await self.calls.get()


def noted(monkeypatch: pytest.MonkeyPatch, owner: Any, verb: str) -> list[Any]:
    """The calls of a verb from now on, each when it is over; the list grows."""
    calls: list[Any] = []
    real = getattr(owner, verb)

    async def call(*args: Any) -> Any:
        result = await real(*args)
        calls.append(args)
        return result

    monkeypatch.setattr(owner, verb, call)
    return calls


def counted(push: Push) -> dict[str, int]:
    return core_of(push).hub.counters.undelivered


async def test_called_once() -> None:
    """For what is due, with its user and its publication, which stays in the inbox."""
    away = Away()
    async with pushing(on_undelivered=away) as (push, _):
        await push.send_to_user("alice", "never", inbox=True)
        await push.send_to_user("alice", "late", inbox=True, undelivered_after=600.0)
        await push.send_to_user("alice", "now", inbox=True, undelivered_after=0.0)
        assert await away.next() == ("alice", "now")
        await push.send_to_user("bob", "then", inbox=True, undelivered_after=0.0)
        assert await away.next() == ("bob", "then")
        await until(lambda: counted(push)["called"] == 2)
        assert await kept(push) == ["never", "late", "now"]
        assert not away.calls.items


async def test_confirmed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session has confirmed is nobody's business any more."""
    clock, away = Clock(monkeypatch), Away()
    async with house(on_undelivered=away) as (push, server):
        peer, _ = await sdk(server)
        await push.send_to_user("alice", "hers", inbox=True, undelivered_after=60.0)
        offset = (await peer.hear())["push"]["pub"]["offset"]
        await peer.ask("rpc", method="push.ack", data={"channel": "#alice", "offset": offset})
        await gone(push)
        clock.ahead += 61.0
        await push.send_to_user("bob", "his", inbox=True, undelivered_after=0.0)
        assert await away.next() == ("bob", "his")


async def test_sync_hook() -> None:
    """A hook that is not async runs in a thread."""
    threads: list[Any] = []
    async with pushing(on_undelivered=lambda *_: threads.append(threading.get_ident())) as (push, _):
        await push.send_to_user("alice", 1, inbox=True, undelivered_after=0.0)
        await until(lambda: threads)
        assert threads[0] != threading.get_ident()


async def test_failures(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A hook that fails is called again, and that is counted and logged."""
    monkeypatch.setattr(undelivered, "_RETRY_AFTER", (0.0,) * 4)
    away = Away(failures=4)
    async with pushing(on_undelivered=away) as (push, _):
        await push.send_to_user("alice", 1, inbox=True, undelivered_after=0.0)
        await until(lambda: counted(push) == {"called": 1, "failed": 4, "given_up": 0})
        assert list(away.calls.items) == [("alice", 1)] * 5
    assert "the mail server" in caplog.text


async def test_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that always fails is called five times; the user still gets the publication."""
    monkeypatch.setattr(undelivered, "_RETRY_AFTER", (0.0,) * 4)
    away = Away(failures=100)
    async with pushing(on_undelivered=away) as (push, server):
        await push.send_to_user("alice", "1", inbox=True, undelivered_after=0.0)
        await until(lambda: counted(push)["given_up"])
        assert counted(push) == {"called": 0, "failed": 5, "given_up": 1}
        assert await (await server.connect("/ws/alice")).receive() == "1"
        assert len(away.calls.items) == 5


async def test_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that takes longer than it may has failed."""
    monkeypatch.setattr(undelivered, "_HOOK_TIME", 0.01)
    away = Away()
    async with pushing(on_undelivered=away) as (push, _):
        away.let = anyio.Event()
        await push.send_to_user("alice", 1, inbox=True, undelivered_after=0.0)
        await until(lambda: counted(push)["failed"])
        assert counted(push)["called"] == 0


async def test_longer_than_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook may take longer than a process that says nothing is waited for."""
    monkeypatch.setattr(undelivered, "_RENEW_EVERY", 0.02)
    clock, away = Clock(monkeypatch), Away()
    async with pushing(on_undelivered=away) as (push, _):
        renewals = noted(monkeypatch, core_of(push).hub.inbox._store, "postpone")
        away.let = anyio.Event()
        await push.send_to_user("alice", 1, inbox=True, undelivered_after=0.0)
        assert await away.next() == ("alice", 1)
        away.let, let = None, away.let
        for _ in range(3):  # together it is beyond the lease
            clock.ahead += undelivered._LEASE / 2
            renewals.clear()
            await until(lambda: len(renewals) >= 2)  # the first may have begun before
        await push.send_to_user("alice", 2, inbox=True, undelivered_after=0.0)
        assert await away.next() == ("alice", 2)
        let.set()
        await until(lambda: counted(push)["called"] == 2)


async def test_many_at_once() -> None:
    """So many hooks run at once, and the others after them; each is called once."""
    away = Away()
    async with pushing(on_undelivered=away) as (push, _):
        away.let = anyio.Event()
        for number in range(25):
            await push.send_to_user(f"{number}", number, inbox=True, undelivered_after=0.0)
        await until(lambda: len(away.calls.items) == 10)
        away.let.set()
        await until(lambda: counted(push)["called"] == 25)
        assert sorted(away.calls.items) == sorted((f"{number}", number) for number in range(25))


async def test_stop_waits() -> None:
    """A hook that runs when the application ends may end first."""
    away = Away()
    ended: list[bool] = []

    async def hook(user: str, publication: Publication) -> None:
        await away(user, publication)
        await anyio.sleep(0.05)
        ended.append(True)

    async with pushing(on_undelivered=hook) as (push, _):
        await push.send_to_user("alice", 1, inbox=True, undelivered_after=0.0)
        await away.next()
    assert ended


async def test_broker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again what is due."""
    away = Away()
    async with pushing(on_undelivered=away) as (push, _):
        store = core_of(push).hub.inbox._store
        claim, failures = store.claim, iter([BrokerError("down")] * 3)

        async def failing(limit: int, lease: float) -> Any:
            for failure in failures:
                raise failure
            return await claim(limit, lease)

        monkeypatch.setattr(store, "claim", failing)
        await push.send_to_user("alice", 1, inbox=True, undelivered_after=0.0)
        assert await away.next() == ("alice", 1)


def test_signature() -> None:
    """A hook that cannot be called is refused by name."""
    with pytest.raises(SettingsError, match="on_undelivered"):
        Push(on_undelivered=lambda user: None)
