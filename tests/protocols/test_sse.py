"""Server-sent events as a browser reads them: data, ids, and what an id that comes back says."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push import Disconnect, Publication, StreamPosition
from asgi_push.encoding import encode
from asgi_push.messages import ClientInfo, JoinLeave, Payload
from asgi_push.protocols.sse import CODEC, STAY_AWAY, EventIds, LastEventId, position_token
from tests.endpoints.sse.reading import Event, Reader


def publication(data: object, channel: str = "news", offset: int = 0, epoch: str = "e") -> Publication:
    return Publication(channel, encode(data), offset, epoch if offset else "")


def read(data: bytes) -> list[Event]:
    return Reader().feed(data)


def stamped(tokens: EventIds, data: bytes) -> list[Event]:
    events = read(tokens.stamp(data))
    tokens.advance(data)
    return events


@given(st.text())
def test_text_arrives_as_it_is(text: str) -> None:
    """All of it, whatever lines it has; only the ends of its lines are all one in SSE."""
    (event,) = read(CODEC.frame(publication(text)))
    assert event.data == text.replace("\r\n", "\n").replace("\r", "\n")
    assert (event.name, event.id) == ("message", "")


def test_json_and_bytes() -> None:
    """JSON as JSON; bytes, for which SSE has no form, in base64 under another name."""
    assert [event.data for event in read(CODEC.frame(publication({"a": [1, None]})))] == ['{"a":[1,null]}']
    (event,) = read(CODEC.frame(publication(b"\x00\xff\n")))
    assert (event.name, base64.b64decode(event.data)) == ("binary", b"\x00\xff\n")


def test_bytes_that_are_no_text_bring_no_id_in() -> None:
    """A client's own bytes, which it called JSON, are no place of anybody's."""
    item = Publication("news", Payload("json", b'"\xff\xff"'), 1, "e")
    (event,) = stamped(EventIds(), CODEC.frame(item))
    assert event.data == '"��"'
    assert LastEventId(event.id).position("news") == StreamPosition(1, "e")


def test_who_comes_and_goes_is_not_told() -> None:
    """There is no word for it."""
    assert CODEC.encode(JoinLeave("news", ClientInfo("u", "s"), joined=True)) is None


CHANNELS = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.lists(CHANNELS, min_size=1), max_size=6))
def test_each_id_has_all_places(runs: list[list[str]]) -> None:
    """After every single event of every piece the id says how far each channel is, whichever moved last."""
    tokens, at = EventIds(), dict.fromkeys("abc", 5)
    start = CODEC.start(1000, [position_token(channel, StreamPosition(5, "e")) for channel in "abc"], [], [])
    stamped(tokens, start.data)
    for run in runs:
        events = [CODEC.encode(publication("x", channel, 1 + run[: n + 1].count(channel) + at[channel] - 1))
                  for n, channel in enumerate(run)]  # fmt: skip
        (piece,) = CODEC.join([event for event in events if event is not None])
        for channel, event in zip(run, stamped(tokens, piece.data), strict=True):
            at[channel] += 1
            last = LastEventId(event.id)
            assert {name: last.position(name) for name in "abc"} == {
                name: StreamPosition(offset, "e") for name, offset in at.items()
            }


def test_a_start_with_what_was_missed() -> None:
    """A stream cut off at any of its first events goes on from there, in all channels."""
    tokens = EventIds()
    known = [position_token("a", StreamPosition(3, "e")), position_token("b", StreamPosition(7, "f"))]
    missed = [event for n in (4, 5) if (event := CODEC.encode(publication(str(n), "a", n))) is not None]
    start = CODEC.start(1500, known, ["b"], list(missed))
    gap, *events = stamped(tokens, start.data)
    assert (gap.name, gap.data, gap.retry) == ("gap", '{"channels":["b"]}', 1500)
    ids = [LastEventId(event.id) for event in (gap, *events)]
    assert [last.position("a") for last in ids] == [StreamPosition(n, "e") for n in (3, 4, 5)]
    assert {last.position("b") for last in ids} == {StreamPosition(7, "f")}


def test_an_id_without_an_event() -> None:
    """A first start tells nothing but has an id; a browser takes it all the same."""
    reader, tokens = Reader(), EventIds()
    assert (
        reader.feed(tokens.stamp(CODEC.start(1500, [position_token("a", StreamPosition(0, "e"))], [], []).data)) == []
    )
    assert LastEventId(reader.last_id).position("a") == StreamPosition(0, "e")
    assert reader.retry == 1500


def test_a_channel_that_is_left() -> None:
    """The id forgets it, so that it is no gap for who comes back."""
    tokens, reader = EventIds(), Reader()
    for data in (
        CODEC.start(1, [position_token("a", StreamPosition(1, "e")), position_token("b", None)], [], []).data,
        CODEC.unsubscribed("a").data,
    ):
        reader.feed(tokens.stamp(data))
        tokens.advance(data)
    last = LastEventId(reader.last_id)
    assert (last.knows("a"), last.knows("b"), last.position("b")) == (False, True, None)
    reader.feed(tokens.stamp(CODEC.frame(publication("x", "c", 1))))
    assert not LastEventId(reader.last_id).knows("a")


@pytest.mark.parametrize(
    "text", ["not one", "AAAAAAAA.1", "AAAAAAAA.-1.e", "AAAAAAAA.1.", "AAAAAAAA.1.e,?", "x" * 9000]
)
def test_an_id_that_cannot_be_read(text: str) -> None:
    """It may have been any stream's, so every channel has a gap."""
    last = LastEventId(text)
    assert last.knows("anything")
    assert last.position("anything") is None


@pytest.mark.parametrize("count", [128, 2000])
def test_an_id_of_all_channels_can_be_read(count: int) -> None:
    """However many a session may be in, and however far they are."""
    positions = {f"orders:{number}": StreamPosition(10**18 - 1, "Abcd_123-xyz") for number in range(count + 2)}
    last = LastEventId(b",".join([position_token(*item) for item in positions.items()]).decode(), count)
    assert {name: last.position(name) for name in positions} == positions


@given(st.text(max_size=60), st.text(min_size=1, max_size=20), st.integers(0, 10**18 - 1))
def test_any_name_and_any_epoch(channel: str, epoch: str, offset: int) -> None:
    """What is in an id is what comes out of it, and it is fit for a header."""
    position = StreamPosition(offset, epoch)
    text = position_token(channel, position).decode()
    assert LastEventId(text).position(channel) == position
    assert text.isascii()
    assert text.isprintable()


def test_the_end() -> None:
    """Who is to come back is told when, and keeps its id; who is to stay away sends an id that is answered so."""
    (event,) = read(CODEC.end(Disconnect.SHUTDOWN, 2500).data)
    assert (event.name, event.data, event.retry, event.id) == (
        "disconnect", '{"code":3001,"reason":"shutdown"}', 2500, "",
    )  # fmt: skip
    (event,) = read(CODEC.end(Disconnect.FORCE, 2500).data)
    assert (event.retry, event.id) == (None, STAY_AWAY)


def test_a_heartbeat_is_no_event() -> None:
    """Nor does it change the id."""
    reader = Reader()
    reader.feed(b"id: 7\n\n")
    assert reader.feed(CODEC.ping.data) == []
    assert reader.last_id == "7"
