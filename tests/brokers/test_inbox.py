"""What every store of inboxes keeps to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asgi_push import StreamPosition
from asgi_push.brokers import Broker, StreamOptions
from asgi_push.brokers.inbox import Claim, Filed, InboxOptions, InboxStore
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.brokers.redis import inbox as redis_inbox
from asgi_push.brokers.redis.broker import RedisBroker
from asgi_push.brokers.redis.inbox import RedisInbox
from asgi_push.messages import ClientInfo
from tests.asgi import PATIENCE
from tests.brokers.contract import Factory, Process, beside, inbox_of, publication

KEPT = StreamOptions(size=2, ttl=60.0)
ROOMY = InboxOptions(size=100, bytes=10_000, ttl=600.0)
ALICE = "#alice"


@pytest.fixture(scope="module")
def anyio_backend(kind: str) -> str:
    return kind.partition("-")[2]


@pytest.fixture
async def broker(make_broker: Factory) -> AsyncIterator[Broker]:
    async with make_broker() as broker:
        await broker.start(Process().receiver)
        yield broker
        await broker.stop()


@pytest.fixture
def store(broker: Broker) -> InboxStore:
    return inbox_of(broker)


async def send(store: InboxStore, data: Any, *, to: str = ALICE, **options: Any) -> Filed:
    return await store.publish(publication(to, data), KEPT, options.pop("options", ROOMY), **options)


def at(filed: Filed) -> StreamPosition:
    assert filed.result.position is not None
    return filed.result.position


async def unconfirmed(store: InboxStore, channel: str = ALICE) -> list[Any]:
    return [item.data for item in await store.read(channel)]


async def claimed(store: InboxStore, lease: float = 60.0) -> Claim:
    """The next that falls due."""
    with anyio.fail_after(PATIENCE):
        while not (claims := await store.claim(10, lease)):  # noqa: ASYNC110  # the server has the clock
            await anyio.sleep(0.01)
    (claim,) = claims
    return claim


async def test_published_and_kept(store: InboxStore, broker: Broker) -> None:
    """A publication goes into the history and the inbox, at one position, with all that it has."""
    item = publication(ALICE, {"n": 1}, tags={"a": "b"}, info=ClientInfo("bob", "id"))
    filed = await store.publish(item, KEPT, ROOMY)
    (kept,) = await store.read(ALICE)
    (past,) = (await broker.history(ALICE, -1, None, reverse=False)).publications
    assert filed.new
    assert at(filed) == (kept.offset, kept.epoch) == (past.offset, past.epoch)
    assert kept.time == past.time is not None
    assert (kept.data, kept.tags, kept.info) == ({"n": 1}, {"a": "b"}, ClientInfo("bob", "id"))


async def test_delivered(make_broker: Factory) -> None:
    """It is delivered as any publication, before the publish returns."""
    process = Process()
    async with make_broker() as broker:
        await broker.start(process.receiver)
        await broker.join(ALICE, kept=True)
        await send(inbox_of(broker), 1)
        assert [item.data for item in process.publications.items] == [1]
        await broker.stop()


async def test_outlives_the_history(store: InboxStore, broker: Broker) -> None:
    """What the history has trimmed, or lost altogether, is in the inbox still, in order."""
    for number in range(5):
        await send(store, number)
        await broker.publish(publication(ALICE, "not kept"), KEPT)
    await broker.remove_history(ALICE)
    assert await unconfirmed(store) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("data", ["", b"", "\u00e9\x00", b"\x00\xff", {"a": [None]}, 0], ids=repr)
async def test_data(store: InboxStore, data: Any) -> None:
    """Whatever the data is, empty too, it comes back as it was, and goes."""
    filed = await send(store, data)
    assert await unconfirmed(store) == [data]
    assert await store.confirm(ALICE, at(filed)) == 1
    assert await unconfirmed(store) == []


async def test_confirmed_up_to_a_position(store: InboxStore, broker: Broker) -> None:
    """All up to a position goes, also where the position is between two of the inbox."""
    first = await send(store, 1)
    await send(store, 2)
    between = await broker.publish(publication(ALICE, "not kept"), KEPT)
    await send(store, 3)
    assert await store.confirm(ALICE, at(first)) == 1
    assert await unconfirmed(store) == [2, 3]
    assert between.position is not None
    assert await store.confirm(ALICE, between.position) == 1
    assert await store.confirm(ALICE, between.position) == 0
    assert await unconfirmed(store) == [3]
    assert await store.confirm(ALICE, StreamPosition(2**53, between.position.epoch)) == 1
    assert await unconfirmed(store) == []


async def test_unknown_position(store: InboxStore) -> None:
    """An epoch that nothing is of confirms nothing, whatever its name is; nor does offset 0."""
    filed = await send(store, 1)
    for epoch in ("other", "", "\0", ":%"):
        assert await store.confirm(ALICE, StreamPosition(2**53, epoch)) == 0
    assert await store.confirm(ALICE, StreamPosition(0, at(filed).epoch)) == 0
    assert await store.confirm("#nobody", at(filed)) == 0
    assert await unconfirmed(store) == [1]


async def test_users_are_apart(store: InboxStore) -> None:
    """What one user confirms, or is cleared, is that user's."""
    filed = await send(store, 1)
    await send(store, 2, to="#bob")
    assert await store.confirm(ALICE, at(filed)) == 1
    assert (await unconfirmed(store), await unconfirmed(store, "#bob")) == ([], [2])
    await send(store, 3)
    await send(store, 4)
    assert await store.clear(ALICE) == 2
    assert await store.clear(ALICE) == 0
    assert (await unconfirmed(store), await unconfirmed(store, "#bob")) == ([], [2])


async def test_bound_by_number(store: InboxStore) -> None:
    """The oldest goes where there are too many, and the result says so."""
    options = InboxOptions(size=3, bytes=10_000, ttl=600.0)
    filed = [await send(store, number, options=options) for number in range(5)]
    assert [item.dropped for item in filed] == [0, 0, 0, 1, 1]
    assert await unconfirmed(store) == [2, 3, 4]


async def test_bound_by_bytes(store: InboxStore) -> None:
    """As many of the oldest go as the bytes of the data want."""
    options = InboxOptions(size=100, bytes=100, ttl=600.0)
    filed = [await send(store, letter * 40, options=options) for letter in "abc"]
    assert [item.dropped for item in filed] == [0, 0, 1]
    assert (await send(store, "d" * 100, options=options)).dropped == 2
    assert await unconfirmed(store) == ["d" * 100]
    await store.clear(ALICE)
    assert (await send(store, "e" * 100, options=options)).dropped == 0


async def test_bound_by_time(store: InboxStore) -> None:
    """What is too old is gone, and neither confirmed nor due any more."""
    options = InboxOptions(size=100, bytes=100, ttl=0.05)
    filed = await send(store, 1, options=options, undelivered_after=0.0)
    with anyio.fail_after(PATIENCE):
        while await unconfirmed(store):  # noqa: ASYNC110  # as above
            await anyio.sleep(0.01)
    await send(store, 2)
    assert await store.confirm(ALICE, StreamPosition(1, at(filed).epoch)) == 0
    assert await store.claim(10, 60.0) == []
    assert await unconfirmed(store) == [2]


async def test_many(store: InboxStore) -> None:
    """An inbox of more than one reading comes whole and in order, and goes whole."""
    options = InboxOptions(size=1000, bytes=10**9, ttl=600.0)
    for number in range(150):
        filed = await send(store, f"{number:05}" * 800, options=options)
    assert await unconfirmed(store) == [f"{number:05}" * 800 for number in range(150)]
    assert await store.confirm(ALICE, at(filed)) == 150
    assert await unconfirmed(store) == []


async def test_idempotency_key(store: InboxStore, broker: Broker) -> None:
    """A known key keeps nothing twice and lets nothing be due twice, whoever used it first."""
    first = await send(store, 1, idempotency_key="a", undelivered_after=0.0)
    again = await send(store, 1, idempotency_key="a", undelivered_after=0.0)
    assert (again.new, again.result.position) == (False, first.result.position)
    await broker.publish(publication(ALICE, 2), KEPT, "b")
    assert not (await send(store, 2, idempotency_key="b")).new
    assert await unconfirmed(store) == [1]
    await claimed(store)
    assert await store.claim(10, 60.0) == []


async def test_due(store: InboxStore) -> None:
    """What is due is claimed once, and never again once it is settled; it stays in the inbox."""
    await send(store, "never")
    await send(store, "late", undelivered_after=600.0)
    filed = await send(store, "now", undelivered_after=0.0)
    claim = await claimed(store)
    assert (claim.publication.data, claim.attempt) == ("now", 1)
    assert (claim.publication.channel, claim.publication.offset) == (ALICE, at(filed).offset)
    assert await store.claim(10, 60.0) == []
    await store.settle(claim)
    assert not await store.postpone(claim, 0.0)
    assert await store.claim(10, 60.0) == []
    assert await unconfirmed(store) == ["never", "late", "now"]


async def test_lease(store: InboxStore) -> None:
    """A claim whose holder is not heard of any more is another's, and no longer the first one's."""
    await send(store, 1, undelivered_after=0.0)
    first = await claimed(store, lease=0.01)
    second = await claimed(store)
    assert (second.publication.data, second.attempt) == (1, 2)
    assert not await store.postpone(first, 600.0)
    assert await store.postpone(second, 0.0)
    assert (await claimed(store)).attempt == 3


async def test_postponed(store: InboxStore) -> None:
    """A claim that is prolonged is not given to others when its first lease is over."""
    await send(store, 1, undelivered_after=0.0)
    claim = await claimed(store, lease=0.2)
    assert await store.postpone(claim, 600.0)
    await send(store, 2, undelivered_after=0.3)
    assert (await claimed(store)).publication.data == 2  # which came later than the end of it


async def lose_stream(broker: Any, request: pytest.FixtureRequest) -> None:
    """A stream that is lost begins anew, with another epoch and the first offset."""
    if isinstance(broker, MemoryBroker):
        broker._streams._streams.clear()
    elif hasattr(broker, "pipeline"):
        for kind in ("position", "stream"):
            await broker.pipeline.call("DEL", broker.keys.key(kind, ALICE))
    else:
        request.getfixturevalue("postgres").do("TRUNCATE asgi_push.channels, asgi_push.items")


async def test_another_epoch(store: InboxStore, broker: Broker, request: pytest.FixtureRequest) -> None:
    """The order of the inbox is that of its publications, whatever their offsets and epochs are."""
    before = [await send(store, number) for number in range(3)]
    await lose_stream(broker, request)
    after = [await send(store, number) for number in range(3, 6)]
    assert at(before[0]).epoch != at(after[0]).epoch
    assert at(after[0]).offset == 1
    assert await unconfirmed(store) == [0, 1, 2, 3, 4, 5]
    assert await store.confirm(ALICE, at(before[1])) == 2
    assert await store.confirm(ALICE, at(after[0])) == 2
    assert await unconfirmed(store) == [4, 5]


@pytest.mark.parametrize("how", ["confirmed", "cleared", "dropped"])
async def test_gone_is_never_due(store: InboxStore, how: str) -> None:
    """Nobody is told of what was confirmed, cleared or dropped, nor can a claim be prolonged."""
    filed = await send(store, 1, undelivered_after=0.0)
    claim = await claimed(store, lease=0.01)
    if how == "confirmed":
        assert await store.confirm(ALICE, at(filed)) == 1
    elif how == "cleared":
        assert await store.clear(ALICE) == 1
    else:
        await send(store, 2, options=InboxOptions(1, 10_000, 600.0))
    assert not await store.postpone(claim, 0.0)
    await store.settle(claim)
    await send(store, 3, undelivered_after=0.05)
    assert (await claimed(store)).publication.data == 3


async def test_claims_are_bounded(store: InboxStore) -> None:
    """So many at once, and together each of them once."""
    for number in range(25):
        await send(store, number, to=f"#{number}", undelivered_after=0.0)
    found: list[Any] = []
    with anyio.fail_after(PATIENCE):
        while len(found) < 25:
            claims = await store.claim(10, 60.0)
            assert len(claims) <= 10
            found += [claim.publication.data for claim in claims]
    assert sorted(found) == list(range(25))


# -- what is due, over Redis, where it is in two places --------------------------------------------


@pytest.fixture
def over_redis(broker: Broker, kind: str) -> RedisInbox:
    if kind.partition("-")[0] not in ("redis", "cluster"):
        pytest.skip("it is in one place")
    assert isinstance(broker, RedisBroker)
    return RedisInbox(broker)


async def test_publisher_that_is_late(over_redis: RedisInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for before it is there is looked for again, and found."""
    expect = over_redis._expect
    monkeypatch.setattr(redis_inbox, "_GRACE", 1000)

    async def looked_for(channel: str, due: int) -> str:
        token = await expect(channel, due)
        pipeline, key = over_redis._pipeline, over_redis._due
        before = int(token.partition(":")[0]) + 500
        with anyio.fail_after(PATIENCE):
            while await pipeline.call("ZRANGEBYSCORE", key, 0, before):
                assert await over_redis.claim(10, 60.0) == []
        return token

    monkeypatch.setattr(over_redis, "_expect", looked_for)
    await send(over_redis, 1, undelivered_after=0.0)
    assert (await claimed(over_redis)).publication.data == 1


async def test_claim_that_is_in_one_place_only(over_redis: RedisInbox) -> None:
    """Who holds a claim has it, though the set of what is due says otherwise."""
    await send(over_redis, 1, undelivered_after=0.0)
    claim = await claimed(over_redis)
    await over_redis._look_again(f"{claim.id}:{ALICE}", 0)
    assert await over_redis.claim(10, 60.0) == []
    assert await over_redis.postpone(claim, 0.0)
    assert (await claimed(over_redis)).attempt == 2


async def test_asked_for_once_while_nobody_has_one(over_redis: RedisInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who connect together ask one question; once anybody has an inbox, each asks for its own."""
    commands: list[str] = []
    ask = over_redis._pipeline._ask

    async def noted(command: tuple[Any, ...]) -> Any:
        commands.append(command[0])
        return await ask(command)

    monkeypatch.setattr(over_redis._pipeline, "_ask", noted)
    users = [f"#{number}" for number in range(20)]
    async with anyio.create_task_group() as tasks:
        for user in users:
            tasks.start_soon(over_redis.read, user)
    assert len(commands) < 5
    assert await over_redis.confirm(ALICE, StreamPosition(1, "a")) == 0
    assert set(commands) == {"EXISTS"}
    filed = await send(over_redis, 1)
    assert await unconfirmed(over_redis) == [1]
    assert await over_redis.confirm(ALICE, at(filed)) == 1


async def test_mark_outlives_what_is_kept(over_redis: RedisInbox) -> None:
    """One process keeps something for longer than another: it is found for as long as it is there."""
    long = InboxOptions(size=100, bytes=10_000, ttl=6000.0)
    for options in (long, ROOMY):
        await send(over_redis, 1, options=options)
    left = await over_redis._pipeline.call("PTTL", over_redis._used)
    assert left > 6_000_000


async def test_known_to_be_empty(over_redis: RedisInbox) -> None:
    """Who joins a channel learns whether its inbox is empty; that holds until something comes from any process."""
    async with beside(over_redis._broker, Process()) as (other, _):
        theirs = inbox_of(other)
        assert not over_redis.known_empty(ALICE)  # the channel is not heard
        await over_redis._broker.join(ALICE, kept=True)
        assert over_redis.known_empty(ALICE)
        top = (await over_redis._broker.history(ALICE, 0, None, reverse=False)).position
        assert over_redis.known_empty(ALICE, top)
        filed = await send(theirs, 1)
        assert not over_redis.known_empty(ALICE, at(filed))  # whether it has come or not
        with anyio.fail_after(PATIENCE):
            while over_redis.known_empty(ALICE):  # noqa: ASYNC110  # the other process has published it
                await anyio.sleep(0.01)
        await other.join(ALICE, kept=True)
        assert not theirs.known_empty(ALICE)
