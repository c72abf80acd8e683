"""What every broker keeps to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest

from asgi_push import BrokerError, StreamPosition, UnrecoverablePosition
from asgi_push.brokers import Broker, StreamOptions
from asgi_push.brokers.contract import MAX_REPLY_BYTES, MAX_TOLD_BYTES
from asgi_push.messages import AwaitedBy, ClientInfo, JoinLeave
from tests.brokers.contract import Factory, Process, beside, publication, seen

KEPT = StreamOptions(size=5, ttl=60.0)


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture(scope="module")
def anyio_backend(kind: str) -> str:
    return kind.partition("-")[2]


@pytest.fixture
async def broker(make_broker: Factory, process: Process) -> AsyncIterator[Broker]:
    """A broker that runs, with ``process`` in the channel ``news``."""
    async with make_broker() as broker:
        await broker.start(process.receiver)
        await broker.join("news", kept=True)
        yield broker
        await broker.stop()


@pytest.mark.parametrize("data", ["text", "", "\u00e9\x00", b"\x00\xff", b"", {"a": [1, None]}, None, 0], ids=repr)
@pytest.mark.parametrize("stream", [KEPT, None])
async def test_what_is_published_is_delivered(
    broker: Broker, process: Process, data: object, stream: StreamOptions | None
) -> None:
    """The data as they were, tags and publisher beside them, at the place that the result names."""
    info = ClientInfo("alice", "id", {"a": 1})
    result = await broker.publish(publication("news", data, tags={"n": "1"}, info=info), stream)
    got = await process.next()
    assert (got.data, got.tags, got.info) == (data, {"n": "1"}, info)
    if stream is None:
        assert (result.position, got.offset, got.epoch) == (None, 0, "")
    else:
        assert result.position == StreamPosition(1, got.epoch) == StreamPosition(got.offset, got.epoch)
        assert got.epoch


@pytest.mark.parametrize("trace", ["00-" + "1" * 32 + "-" + "2" * 16 + "-01", None])
@pytest.mark.parametrize("stream", [KEPT, None])
async def test_the_trace_comes_along(
    broker: Broker, process: Process, stream: StreamOptions | None, trace: str | None
) -> None:
    """It is beside the tags, not in them."""
    told = publication("news", "data", tags={"n": "1"})
    told.trace = trace
    await broker.publish(told, stream)
    got = await process.next()
    assert (got.trace, got.tags, got.info) == (trace, {"n": "1"}, None)


@pytest.mark.parametrize("awaited_by", ["publisher", "inbox", None])
async def test_who_awaits_its_confirmation_comes_along(
    broker: Broker, process: Process, awaited_by: AwaitedBy | None
) -> None:
    """Also when it is read later."""
    told = publication("news", "data", tags={"n": "1"})
    told.awaited_by = awaited_by
    await broker.publish(told, KEPT)
    got = await process.next()
    (kept,) = (await broker.history("news", -1, None, reverse=False)).publications
    assert [(item.awaited_by, item.tags) for item in (got, kept)] == [(awaited_by, {"n": "1"})] * 2


@pytest.mark.parametrize("stream", [KEPT, None])
async def test_the_time_is_when_the_broker_took_it(
    broker: Broker, process: Process, stream: StreamOptions | None
) -> None:
    """All who get a publication, or read it later, see the same time."""
    before = time.time()
    await broker.publish(publication("news", 1), stream)
    got = await process.next()
    assert got.time is not None
    assert before - 1 <= got.time <= time.time() + 1, "servers tell whole milliseconds"
    if stream is not None:
        (kept,) = (await broker.history("news", -1, None, reverse=False)).publications
        assert (kept.time, kept.id) == (got.time, got.id)


async def test_receivers_are_known_or_not_told(broker: Broker) -> None:
    """What the delivery answered where it was in this process, and no guess otherwise."""
    assert (await broker.publish(publication("news", 1), KEPT)).receivers in (3, None)


async def test_one_order_for_all(broker: Broker, process: Process) -> None:
    """However many publish at once, each publication has its own place, and they come in the order of their places."""

    async def publish(number: int) -> None:
        result = await broker.publish(publication("news", number), StreamOptions(100, 60.0))
        assert result.position is not None
        places[result.position.offset] = number

    places: dict[int, int] = {}
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(publish, number)
    assert sorted(places) == list(range(1, 51))
    delivered = [seen(await process.next()) for _ in range(50)]
    assert delivered == [("news", offset, places[offset]) for offset in range(1, 51)]
    kept = (await broker.history("news", -1, None, reverse=False)).publications
    assert [seen(item) for item in kept] == delivered


async def test_channels_are_apart(broker: Broker, process: Process) -> None:
    """Each has its own stream and its own places."""
    await broker.join("other", kept=True)
    for channel, data in (("news", 1), ("other", 2), ("news", 3)):
        await broker.publish(publication(channel, data), KEPT)
    delivered = [seen(await process.next()) for _ in range(3)]
    assert sorted(delivered) == [("news", 1, 1), ("news", 2, 3), ("other", 1, 2)]
    assert delivered.index(("news", 1, 1)) < delivered.index(("news", 2, 3))
    assert [seen(item) for item in (await broker.history("other", -1, None, reverse=False)).publications] == [
        ("other", 1, 2)
    ]


async def test_history_is_read_in_pages(broker: Broker) -> None:
    """As many as are kept, after or before a position, forwards or reversed, with the top as it is."""
    for number in range(1, 8):
        await broker.publish(publication("news", number, tags={"n": str(number)}), KEPT)
    whole = await broker.history("news", -1, None, reverse=False)
    epoch = whole.position.epoch
    assert whole.position.offset == 7
    assert [(item.offset, item.data, item.tags) for item in whole.publications] == [
        (number, number, {"n": str(number)}) for number in range(3, 8)
    ]
    for limit, since, reverse, offsets in (
        (0, None, False, []),
        (2, None, False, [3, 4]),
        (2, 4, False, [5, 6]),
        (-1, 5, False, [6, 7]),
        (-1, 0, False, [3, 4, 5, 6, 7]),
        (-1, 7, False, []),
        (2, None, True, [7, 6]),
        (2, 5, True, [4, 3]),
        (-1, 3, True, []),
    ):
        position = None if since is None else StreamPosition(since, epoch)
        page = await broker.history("news", limit, position, reverse)
        assert [item.offset for item in page.publications] == offsets, (limit, since, reverse)
        assert page.position == whole.position


async def test_history_of_another_life_is_an_error(broker: Broker) -> None:
    """Nobody pretends to know what came between."""
    await broker.publish(publication("news", 1), KEPT)
    with pytest.raises(UnrecoverablePosition):
        await broker.history("news", -1, StreamPosition(1, "another"), reverse=False)


async def test_an_empty_channel_has_a_position_to_go_on_from(broker: Broker) -> None:
    """Whoever subscribes before the first publication misses nothing by it."""
    start = (await broker.history("news", 0, None, reverse=False)).position
    assert start.offset == 0
    assert start.epoch
    await broker.publish(publication("news", 1), KEPT)
    recovery = await broker.recover("news", start)
    assert recovery.recovered
    assert [seen(item) for item in recovery.publications] == [("news", 1, 1)]


async def test_a_channel_that_is_begun_brings_all_that_follows(broker: Broker, process: Process) -> None:
    """From the place that is returned on, also where that was known already, and whoever publishes."""
    async with beside(broker, process) as (other, _):
        start = await broker.begin("begun")
        assert start == StreamPosition(0, start.epoch)
        assert start.epoch
        for number in range(1, 4):
            result = await other.publish(publication("begun", number), KEPT)
            assert result.position == StreamPosition(number, start.epoch)
            assert seen(await process.next()) == ("begun", number, number)
            assert broker.begin_now("begun") in (result.position, None)
            assert await broker.begin("begun") == result.position


async def test_recovery_is_whole_or_not_at_all(broker: Broker) -> None:
    """From a place whose next is still kept, in the same life or in one that is not named."""
    for number in range(1, 8):
        await broker.publish(publication("news", number), KEPT)
    position = (await broker.history("news", 0, None, reverse=False)).position
    for since, epoch, offsets in (
        (7, position.epoch, []),
        (5, position.epoch, [6, 7]),
        (2, position.epoch, [3, 4, 5, 6, 7]),
        (5, "", [6, 7]),
        (1, position.epoch, None),
        (8, position.epoch, None),
        (5, "another", None),
        (7, "another", None),
    ):
        recovery = await broker.recover("news", StreamPosition(since, epoch))
        assert recovery.recovered is (offsets is not None), (since, epoch)
        assert [item.offset for item in recovery.publications] == (offsets or [])
        assert recovery.position == position


async def test_a_removed_history_leaves_the_position(broker: Broker, process: Process) -> None:
    """The publications are gone, the counting goes on in the same life."""
    first = await broker.publish(publication("news", 1), KEPT)
    await broker.remove_history("news")
    history = await broker.history("news", -1, None, reverse=False)
    assert history.publications == []
    assert history.position == first.position
    second = await broker.publish(publication("news", 2), KEPT)
    assert first.position
    assert second.position == StreamPosition(2, first.position.epoch)
    assert [seen(await process.next()) for _ in range(2)] == [("news", 1, 1), ("news", 2, 2)]


@pytest.mark.parametrize("stream", [KEPT, None])
async def test_an_idempotency_key_publishes_once(
    broker: Broker, process: Process, stream: StreamOptions | None
) -> None:
    """A channel that saw the key gives the first place again and delivers nothing; another channel knows nothing."""
    await broker.join("other", kept=True)
    first = await broker.publish(publication("news", 1), stream, "key")
    again = await broker.publish(publication("news", 2), stream, "key")
    other = await broker.publish(publication("other", 3), stream, "key")
    another = await broker.publish(publication("news", 4), stream, "another key")
    assert again.position == first.position
    assert sorted([(await process.next()).data for _ in range(3)]) == [1, 3, 4]
    if stream is not None:
        assert [result.position and result.position.offset for result in (first, other, another)] == [1, 1, 2]


@pytest.mark.parametrize("streams", [(None, KEPT), (KEPT, None)])
async def test_a_key_is_one_with_and_without_a_history(
    broker: Broker, process: Process, streams: tuple[StreamOptions | None, StreamOptions | None]
) -> None:
    """The first result comes back, whichever it was."""
    first, second = streams
    result = await broker.publish(publication("news", 1), first, "key")
    again = await broker.publish(publication("news", 2), second, "key")
    assert again.position == result.position
    await broker.publish(publication("news", 3), KEPT)
    assert [(await process.next()).data for _ in range(2)] == [1, 3]


async def test_a_long_history_is_read_whole(broker: Broker) -> None:
    """However many bytes it has, forwards, backwards and in pages."""
    size = StreamOptions(size=400, ttl=60.0)
    for number in range(400):
        await broker.publish(publication("news", f"{number:03}".ljust(2000)), size)
    for limit, since, reverse, offsets in (
        (-1, None, False, range(1, 401)),
        (-1, None, True, range(400, 0, -1)),
        (150, 100, False, range(101, 251)),
        (150, 300, True, range(299, 149, -1)),
    ):
        position = None if since is None else StreamPosition(since, "")
        found = await broker.history("news", limit, position, reverse)
        assert [item.offset for item in found.publications] == list(offsets)
        assert [int(item.data) + 1 for item in found.publications] == list(offsets)
        assert found.position.offset == 400
    recovery = await broker.recover("news", StreamPosition(7, found.position.epoch))
    assert (recovery.recovered, [item.offset for item in recovery.publications]) == (True, list(range(8, 401)))


async def test_a_notice_is_delivered_and_kept_nowhere(broker: Broker, process: Process) -> None:
    """Who comes and goes has no place in the stream."""
    info = ClientInfo("alice", "id", {"a": 1}, [2])
    await broker.publish_join_leave(JoinLeave("news", info, joined=True))
    await broker.publish(publication("news", 1), KEPT)
    notice = await process.next()
    assert (notice.channel, notice.info, notice.joined) == ("news", info, True)
    assert (await process.next()).offset == 1
    assert len((await broker.history("news", -1, None, reverse=False)).publications) == 1


async def test_commands_come_in_order(broker: Broker, process: Process) -> None:
    """Every process gets each, this one too, as the bytes that they were."""
    for message in (b'{"verb":"x"}', b"\x00\xff"):
        await broker.command(message)
    assert [await process.next_command() for _ in range(2)] == [b'{"verb":"x"}', b"\x00\xff"]


async def test_a_command_brings_a_reply_of_every_process(broker: Broker, process: Process) -> None:
    """What each returned, as it was; who returned nothing is not among them."""
    assert await broker.command(b"x") == []
    for reply in (b"", b"\x00:\n\xff", b"x" * MAX_REPLY_BYTES):
        process.reply = reply
        assert await broker.command(b"x") == [reply]
    async with beside(broker, process) as (_, other):
        other.reply = b"y" * MAX_REPLY_BYTES
        replies = await broker.command(b"x")
        assert set(replies) == {other.reply, process.reply}
        assert len(replies) == (1 if other is process else 2)


async def test_a_process_is_told_what_is_for_it_alone(broker: Broker, process: Process) -> None:
    """All of it, in its order, and nobody else."""
    messages = [b"", b"a:b", b"\x00\xff\n", b"x" * MAX_TOLD_BYTES, *(b"%d" % number for number in range(50))]
    async with beside(broker, process) as (teller, other):
        for message in messages:
            await teller.tell(broker.process_id, message)
        assert [await process.next_told() for _ in messages] == messages
        await broker.tell("nobody", b"lost")
        await broker.tell(teller.process_id, b"back")
        assert await other.next_told() == b"back"
        with pytest.raises(BrokerError, match="at most"):
            await broker.tell(broker.process_id, b"x" * (MAX_TOLD_BYTES + 1))


async def test_what_is_told_comes_before_a_later_reply(broker: Broker, process: Process) -> None:
    """So whoever has all replies has been told all that the processes said before them."""
    async with beside(broker, process) as (teller, other):

        async def work(message: bytes) -> None:
            for number in range(5):
                await teller.tell(broker.process_id, b"%b%d" % (message, number))

        other.work, other.reply = work, b"done"
        for name in (b"a", b"b", b"c"):
            assert b"done" in await broker.command(name)
            told = [process.told.items.popleft() for _ in range(5)]
            assert told == [b"%b%d" % (name, number) for number in range(5)]


async def test_a_channel_may_be_left_and_joined_again(broker: Broker, process: Process) -> None:
    """Nothing is lost after the join has returned."""
    for number in range(3):
        broker.leave("news")
        await broker.join("news", kept=True)
        await broker.publish(publication("news", number), KEPT)
        while (await process.next()).data != number:
            pass


async def test_a_broker_that_hears_all_needs_no_join(broker: Broker, process: Process) -> None:
    """What comes in a channel that nobody joined is delivered; others have to join one that was never joined."""
    assert broker.join_now("other") is broker.hears_all
    if broker.hears_all:
        await broker.publish(publication("another", 1), KEPT)
        assert (await process.next()).channel == "another"


async def test_nothing_is_delivered_after_the_stop(broker: Broker, process: Process) -> None:
    """The sessions are gone by then."""
    await broker.stop()
    delivered = len(process.publications.items)
    with suppress(BrokerError):  # a broker may refuse by then
        await broker.publish(publication("news", 1), KEPT)
    await anyio.wait_all_tasks_blocked()
    assert len(process.publications.items) == delivered
    await broker.start(process.receiver)
