"""``?since=``: an event stream that begins where a page's state ends, or at the beginning."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.endpoints.sse.reading import Event
from tests.endpoints.sse.test_streams import Stream, begin, open_stream, streaming


def channels_and(since: str) -> str:
    return f"channels=news,other&since={quote(since)}"


async def take(stream: Stream, count: int) -> list[tuple[str, str]]:
    events: list[Event] = [await stream.next() for _ in range(count)]
    return [(event.name, event.data) for event in events]


async def test_a_stream_goes_on_after_the_state_of_a_page() -> None:
    """With the id of the history that the state was made of; other channels begin with now."""
    async with streaming(everybody=False) as (push, server):
        for number in range(3):
            await push.publish("news", str(number))
        await push.publish("other", "before")
        state = await push.history("news", limit=2)
        state_id = state.publications[1].id
        stream = await open_stream(server, channels_and(json.dumps({"news": state_id})))
        await push.publish("other", "live")
        assert await take(stream, 2) == [("message", "2"), ("message", "live")]


async def test_the_last_id_of_a_stream_wins() -> None:
    """A browser comes back to the address that it first used."""
    async with streaming(everybody=False) as (push, server):
        since = channels_and(json.dumps({"news": (await push.history("news")).id}))
        stream = await open_stream(server, since)
        for number in range(3):
            await push.publish("news", str(number))
        last = [await stream.next() for _ in range(2)][-1].id
        again = await open_stream(server, since, last_id=last)
        assert await take(again, 1) == [("message", "2")]


@pytest.mark.parametrize("kept", [10, 3])
async def test_start_is_all_that_is_kept(kept: int) -> None:
    """And a gap, if that is not all there was; after a cut in the middle the rest comes."""
    async with streaming(everybody=False, history_size=kept) as (push, server):
        for number in range(5):
            await push.publish("news", str(number))
        stream = await open_stream(server, channels_and("start"))
        await push.publish("news", "live")
        numbers = ["0", "1", "2", "3", "4", "live"][-kept - 1 :]
        gap = [] if kept > 5 else [("gap", '{"channels":["news"]}')]
        expected = [*gap, *[("message", number) for number in numbers]]
        assert await take(stream, len(expected)) == expected
        first = await open_stream(server, channels_and("start"))
        second = [await first.next() for _ in range(len(gap) + 2)][-1]
        again = await open_stream(server, channels_and("start"), last_id=second.id)
        rest = numbers[numbers.index(second.data) + 1 :]
        assert await take(again, len(rest)) == [("message", number) for number in rest]


async def test_a_channel_without_history_has_no_start_and_no_gap() -> None:
    """Nothing of it is kept, and a page that begins has missed nothing."""
    async with streaming(everybody=False, history_size=0, history_ttl=0) as (push, server):
        stream = await begin(server, channels_and("start"))
        assert (await stream.client.message())["status"] == 200
        await stream._read()
        await push.publish("news", "live")
        assert await take(stream, 1) == [("message", "live")]


async def test_a_position_that_is_gone_is_a_gap() -> None:
    """As for a last id."""
    async with streaming(everybody=False) as (push, server):
        await push.publish("news", "0")
        stream = await open_stream(server, channels_and('{"news":"7.another"}'))
        assert await take(stream, 1) == [("gap", '{"channels":["news"]}')]


@pytest.mark.parametrize("since", ["end", "[]", '{"news":"x"}', '{"news":1}'])
async def test_a_since_that_is_none_is_refused(since: str) -> None:
    """With 400, at which a browser does not come again, and a sentence."""
    async with streaming() as (push, server):
        stream = await begin(server, channels_and(since))
        assert (await stream.client.message())["status"] == 400
        assert (await stream.client.message())["body"].startswith(b"since: ")
        assert push.sessions() == []
