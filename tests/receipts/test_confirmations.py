"""A publisher learns which sessions have what it published, in whichever process they are."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_push import BrokerError, Push, StreamPosition
from asgi_push.messages import PublishResult
from asgi_push.push import core_of
from asgi_push.receipts import confirmations, reporter
from asgi_push.subscription import TrackedSubscription
from tests import asgi
from tests.asgi import until
from tests.endpoints.centrifuge.peers import House, Peer, house

pytestmark = pytest.mark.anyio

# Longer than anything here takes: whoever waits so long has not been let go.
LONG = 60.0


async def ack(peer: Peer, channel: str, offset: int) -> None:
    """Confirm all of a channel up to an offset."""
    answer = await peer.ask("rpc", method="push.ack", data={"channel": channel, "offset": offset})
    assert "error" not in answer


async def next_offset(peer: Peer) -> int:
    """Return the offset of the publication that comes next."""
    return int((await peer.hear())["push"]["pub"]["offset"])


async def subscribed(here: House, channel: str = "news", **request: Any) -> Peer:
    """Return an SDK client that is in a channel."""
    peer = await here.peer()
    assert "error" not in await peer.ask("subscribe", channel=channel, **request)
    return peer


@asynccontextmanager
async def publishing(push: Push, channel: str = "news", confirm: float = LONG) -> AsyncIterator[list[PublishResult]]:
    """Publish meanwhile; at the end the result is there."""
    results: list[PublishResult] = []

    async def publish() -> None:
        results.append(await push.publish(channel, "x", confirm=confirm))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        with anyio.fail_after(asgi.PATIENCE):
            yield results
    assert len(results) == 1


def ids(push: Push) -> list[str]:
    return [session.id for session in push.sessions()]


async def test_it_returns_when_all_have_confirmed() -> None:
    """And says who they are; each confirmation is one in the histogram."""
    async with house() as here:
        peers = [await subscribed(here) for _ in range(2)]
        async with publishing(here.push) as results:
            for peer in peers:
                assert results == []
                await ack(peer, "news", await next_offset(peer))
        (result,) = results
        assert sorted(result.confirmed) == sorted(ids(here.push))
        assert result.receivers == 2
        assert result.position == (await here.push.history("news")).position
        assert core_of(here.push).hub.counters.confirmation.count == 2
        assert not core_of(here.push).hub.confirmations._open
        assert not core_of(here.push).hub.confirmations._by_channel


async def test_what_nobody_waits_for_is_not_reported() -> None:
    """Confirmations of publications that came with no ``confirm`` cost no message to a publisher."""
    async with house() as here:
        handlers = core_of(here.push).hub.process_messages.handlers
        take, reports = handlers["confirmed"], list[Any]()

        def note(report: Any) -> None:
            reports.append(report["sessions"])
            take(report)

        handlers["confirmed"] = note
        peer = await subscribed(here)
        for awaited in (False, True, False, False, True, False):
            if not awaited:
                await here.push.publish("news", "x")
                await ack(peer, "news", await next_offset(peer))
                continue
            async with publishing(here.push) as results:
                await ack(peer, "news", await next_offset(peer))
            assert results[0].confirmed == ids(here.push)
        assert [(since, last) for ((_, _, _, since, last),) in reports] == [(1, 2), (4, 5)]


async def test_it_returns_when_the_time_is_over() -> None:
    """With those who have confirmed by then."""
    async with house() as here:
        first, second = await subscribed(here), await subscribed(here)
        one, _ = ids(here.push)
        async with publishing(here.push, confirm=1.5) as results:
            await ack(first, "news", await next_offset(first))
            await next_offset(second)
        assert (results[0].confirmed, results[0].receivers) == ([one], 2)
        await ack(second, "news", 1)  # too late, and no error


async def test_one_confirmation_is_for_all_before_it() -> None:
    """However many publishers wait, in the order of their publications or not."""
    async with house() as here:
        peer = await subscribed(here)
        async with publishing(here.push) as one, publishing(here.push) as two, publishing(here.push) as three:
            assert [await next_offset(peer) for _ in range(3)] == [1, 2, 3]
            await ack(peer, "news", 2)
            await until(lambda: len(one) + len(two) + len(three) == 2)
            await ack(peer, "news", 3)
        assert [result.confirmed for (result,) in (one, two, three)] == [ids(here.push)] * 3


async def test_nobody_is_there() -> None:
    """There is nothing to wait for."""
    async with house() as here, publishing(here.push) as results:
        await until(lambda: bool(results))
        assert (results[0].confirmed, results[0].receivers) == ([], 0)


async def test_a_bare_client_is_not_waited_for() -> None:
    """It cannot confirm; it counts among the receivers."""
    async with asgi.pushing() as (push, server):
        for _ in range(2):
            await server.connect("/ws/ann")
        with anyio.fail_after(asgi.PATIENCE):
            results = [
                await push.send_to_user("ann", "x", confirm=LONG),
                await push.send_to_all("x", confirm=LONG),
                *await push.send_to_users(["ann", "bob"], "x", confirm=LONG),
            ]
        assert [(result.confirmed, result.receivers) for result in results] == [([], 2), ([], 2), ([], 2), ([], 0)]


async def test_who_came_later_was_not_handed_it() -> None:
    """Nor can it confirm what it was not sent; others are waited for."""
    async with house() as here:
        peer = await subscribed(here)
        async with publishing(here.push) as results:
            offset = await next_offset(peer)
            later = await subscribed(here)
            await ack(later, "news", offset)  # it stands there, and was sent nothing
            await ack(peer, "news", offset)
        assert (results[0].confirmed, results[0].receivers) == (ids(here.push)[:1], 1)


async def test_a_client_that_comes_back_confirms_what_it_missed() -> None:
    """Its new session was sent it, and says so before the time is over."""
    async with house() as here:
        peer = await subscribed(here)
        epoch = (await here.push.history("news")).position.epoch
        async with publishing(here.push) as results:
            await next_offset(peer)
            peer.client.close()
            await peer.client.ended()
            again = await subscribed(here, recover=True, epoch=epoch, offset=0)
            await ack(again, "news", 1)
        assert (results[0].confirmed, results[0].receivers) == (ids(here.push), 1)


async def test_the_key_of_a_publication_may_be_used_again() -> None:
    """Whoever did not learn whether it arrived asks again: nothing is published, and it is answered."""
    async with house() as here:
        peer = await subscribed(here)
        first = await here.push.publish("news", "x", idempotency_key="k")
        await ack(peer, "news", await next_offset(peer))
        again = await here.push.publish("news", "x", idempotency_key="k", confirm=LONG)
        assert again.position == first.position
        assert (again.confirmed, again.receivers) == (ids(here.push), 1)


@pytest.mark.parametrize("confirm", [0, -1, math.inf, math.nan, 3601, "5", True], ids=repr)
async def test_what_cannot_be_waited_for_is_refused(confirm: Any) -> None:
    """Nothing is published then."""
    async with Push() as push:
        for call in (
            push.publish("news", 1, confirm=confirm),
            push.send_to_user("ann", 1, confirm=confirm),
            push.send_to_users(["ann"], 1, confirm=confirm),
            push.send_to_all(1, confirm=confirm),
        ):
            with pytest.raises(ValueError, match="confirm: must be"):
                await call
        assert (await push.history("news")).position.offset == 0


async def test_a_channel_without_history_has_no_positions() -> None:
    """The error says so; a transaction has none either, before it commits."""
    async with house() as here:
        with pytest.raises(ValueError, match="keeps no history"):
            await here.push.publish("live:1", 1, confirm=1)
        with pytest.raises(ValueError, match="not with using"):
            await here.push.publish("news", 1, confirm=1, using=object())


async def test_waiting_publications_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is not published."""
    monkeypatch.setattr(confirmations, "_MAX_OPEN", 1)
    async with house() as here:
        peer = await subscribed(here)
        async with publishing(here.push):
            offset = await next_offset(peer)
            with pytest.raises(BrokerError, match="wait to be confirmed"):
                await here.push.publish("news", 2, confirm=1)
            await ack(peer, "news", offset)
        assert (await here.push.history("news")).position.offset == offset


async def test_from_a_thread() -> None:
    """The verbs of push.blocking take it, too."""
    async with house() as here:
        for call in (
            lambda: here.push.blocking.publish("news", 1, confirm=LONG),
            lambda: here.push.blocking.send_to_user("ann", 1, confirm=LONG),
            lambda: here.push.blocking.send_to_users(["ann"], 1, confirm=LONG)[0],
        ):
            result = await anyio.to_thread.run_sync(call)
            assert (result.confirmed, result.receivers) == ([], 0)


@pytest.mark.parametrize("form", ["ack", "seen"])
async def test_a_page_in_envelopes_confirms(form: str) -> None:
    """At once, or in its next heartbeat; its user is sent to, and everybody."""
    async with asgi.pushing() as (push, server):
        page = await server.connect("/ws/ann?since=")
        bare = await server.connect("/ws/ann")
        session, _ = ids(push)
        assert json.loads(await page.receive())["session"] == session
        for send, arguments in ((push.send_to_user, ["ann", 1]), (push.send_to_all, [1])):
            results = list[PublishResult]()

            async def publish(send: Any = send, arguments: Any = arguments, results: Any = results) -> None:
                results.append(await send(*arguments, confirm=LONG))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(publish)
                came = json.loads(await page.receive())
                await bare.receive()
                if form == "ack":
                    page.send(json.dumps({"type": "ack", "channel": came["channel"], "id": came["id"]}))
                else:
                    page.send(json.dumps({"type": "ping", "seen": {came["channel"]: came["id"]}}))
                    assert json.loads(await page.receive())["type"] == "pong"
            assert (results[0].confirmed, results[0].receivers) == ([session], 2)


def test_a_page_that_goes_on_after_a_loss_confirms_what_comes_then() -> None:
    """It was told that something is lost, and was not sent it."""
    subscription = TrackedSubscription(0)
    subscription.move(StreamPosition(3, "a"), lost=False)
    subscription.confirmed = 2
    subscription.move(StreamPosition(5, "a"), lost=True)
    assert (subscription.start, subscription.confirmed) == (5, 2)
    subscription.move(StreamPosition(6, "b"), lost=False)
    assert (subscription.start, subscription.confirmed, subscription.epoch) == (5, 0, "b")


async def test_who_left_at_once_was_handed_it() -> None:
    """It counts, and what it has confirmed; a bounded number of those who left is remembered."""
    async with house() as here:
        peers = [await subscribed(here) for _ in range(2)]
        first, _ = ids(here.push)
        published = await here.push.publish("news", "x", idempotency_key="k")
        assert published.receivers == 2
        await ack(peers[0], "news", await next_offset(peers[0]))
        for peer in peers:
            peer.client.close()
            await peer.client.ended()
        again = await here.push.publish("news", "x", idempotency_key="k", confirm=1.0)
        assert (again.confirmed, again.receivers) == ([first], 2)
        hub = core_of(here.push).hub
        for number in range(reporter._MAX_LEFT + 10):
            subscription = TrackedSubscription(0)
            subscription.move(StreamPosition(1, "a"), lost=False)
            subscription.positioned = True
            hub.receipt_reporter.on_left(Leaver(str(number)), str(number % 50), subscription)  # type: ignore[arg-type]
        assert (
            sum(map(len, hub.receipt_reporter._left.values()))
            == len(hub.receipt_reporter._left_order)
            == reporter._MAX_LEFT
        )
        assert "news" not in hub.receipt_reporter._left


class Leaver:
    """As much of a session as is remembered."""

    client = None

    def __init__(self, session_id: str) -> None:
        self.id = session_id


async def test_who_joined_before_it_was_asked_was_not_handed_it() -> None:
    """The command comes after the publication; whoever came in between began after it."""
    async with house() as here:
        peer = await subscribed(here)
        await here.push.publish("news", "x", idempotency_key="k")
        offset = await next_offset(peer)
        later = await subscribed(here)
        await ack(peer, "news", offset)
        await ack(later, "news", offset)
        result = await here.push.publish("news", "x", idempotency_key="k", confirm=LONG)
        assert (result.confirmed, result.receivers) == (ids(here.push)[:1], 1)


async def test_it_is_not_over_before_all_processes_have_said_who_was_handed_it() -> None:
    """One of them may say so, and have all its confirmations, before another is heard of."""
    request = confirmations.PendingPublication(1, "news", StreamPosition(1, "a"), 0.0, 1.0)
    request.handed = request.able = 1
    request.confirmed["one"] = None
    request.check()
    assert not request.over.is_set()
    request.asked = True
    request.check()
    assert request.over.is_set()


async def test_who_waits_is_let_go_at_the_end() -> None:
    """Push stops: nobody confirms or answers any more."""
    failures: list[str] = []

    async def wait(call: Any) -> None:
        with pytest.raises(BrokerError) as error:
            await call
        failures.append(str(error.value))

    async with house() as here:
        peer = await subscribed(here)
        (session,) = here.push.sessions()
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(asgi.PATIENCE):
                tasks.start_soon(wait, here.push.publish("news", 1, confirm=LONG))
                tasks.start_soon(wait, here.push.ask("?", session=session.id, timeout=LONG))
                for _ in range(2):
                    await peer.hear()
                await core_of(here.push).hub.stop()
                await until(lambda: len(failures) == 2)
    assert all("Push has stopped" in failure for failure in failures)
