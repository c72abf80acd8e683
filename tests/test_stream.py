"""The history of a channel, beside a model that forgets nothing."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from asgi_push import Publication, StreamPosition, UnrecoverablePosition
from asgi_push.encoding import encode
from asgi_push.stream import Stream, Streams

offsets = st.integers(0, 12)


def seen(publications: list[Publication]) -> list[tuple[int, object]]:
    return [(item.offset, item.data) for item in publications]


class StreamMachine(RuleBasedStateMachine):
    """A stream beside the list of all that was ever published, under any sequence of calls and passing of time."""

    @initialize(size=st.integers(1, 5), ttl=st.integers(1, 10))
    def start(self, size: int, ttl: int) -> None:
        self.stream = Stream("news", "life")
        self.size, self.ttl = size, ttl
        self.published: list[Publication] = []
        self.now = 0.0
        self.gone = 0  # how many of the published have expired

    @property
    def kept(self) -> list[Publication]:
        return self.published[self.gone :][-self.size :]

    @rule(data=st.text(max_size=5))
    def append(self, data: str) -> None:
        publication = Publication("news", encode(data))
        self.stream.append(publication, self.now, self.size, self.ttl)
        self.published.append(publication)
        assert (publication.offset, publication.epoch) == (len(self.published), "life")
        self.expires_at = self.now + self.ttl

    @rule(seconds=st.integers(0, 6))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        if self.published and self.now >= self.expires_at:
            self.gone = len(self.published)

    @rule(since=offsets, epoch=st.sampled_from(["", "life", "another"]))
    def recover(self, since: int, epoch: str) -> None:
        top, kept = len(self.published), [item for item in self.kept if item.offset > since]
        nothing_newer = since == top
        all_there = bool(kept) and kept[0].offset == since + 1 and kept[-1].offset == top
        recovered = epoch in ("", "life") and (nothing_newer or all_there)
        answer = self.stream.recover(self.now, StreamPosition(since, epoch))
        assert answer.recovered is recovered
        assert seen(answer.publications) == seen(kept if recovered else [])
        assert answer.position == StreamPosition(top, "life")

    @rule(limit=st.integers(-1, 6), since=st.none() | offsets, reverse=st.booleans())
    def history(self, limit: int, since: int | None, reverse: bool) -> None:
        if reverse:
            found = [item for item in self.kept[::-1] if since is None or item.offset < since]
        else:
            found = [item for item in self.kept if since is None or item.offset > since]
        position = None if since is None else StreamPosition(since, "life")
        answer = self.stream.history(self.now, limit, position, reverse)
        assert seen(answer.publications) == seen(found if limit < 0 else found[:limit])
        assert answer.position == StreamPosition(len(self.published), "life")

    @invariant()
    def counts_what_it_keeps(self) -> None:
        self.stream.expire(self.now)
        assert len(self.stream) == len(self.kept)
        assert self.stream.bytes == sum(len(item.payload.data) for item in self.kept)


TestStream = StreamMachine.TestCase


def filled(size: int) -> Stream:
    stream = Stream("news", "life")
    for number in range(size):
        stream.append(Publication("news", encode(number), tags={"n": str(number)}), 0.0, size, 300.0)
    return stream


@given(size=st.integers(0, 20), page=st.integers(1, 7), reverse=st.booleans())
def test_pages_add_up(size: int, page: int, reverse: bool) -> None:
    """Read page by page, each since the last offset of the one before, a stream comes out whole, in both directions."""
    stream, since, found = filled(size), None, []
    while part := stream.history(0.0, page, since, reverse).publications:
        found += [item.data for item in part]
        since = StreamPosition(part[-1].offset, "life")
    assert found == (list(range(size))[::-1] if reverse else list(range(size)))


def test_history_of_another_life_is_an_error() -> None:
    """What came between a position of a lost stream and this one is not known, and nobody pretends that it is."""
    with pytest.raises(UnrecoverablePosition, match="another"):
        filled(3).history(0.0, -1, StreamPosition(1, "another"), reverse=False)


def test_tags_are_kept() -> None:
    """A publication has its tags in the history too."""
    assert [item.tags for item in filled(2).history(0.0, -1, None, reverse=False).publications] == [
        {"n": "0"},
        {"n": "1"},
    ]


class StreamsMachine(RuleBasedStateMachine):
    """The streams of a few channels in little room, under any sequence of calls and passing of time."""

    @initialize(max_streams=st.integers(1, 4), max_bytes=st.integers(1, 30))
    def start(self, max_streams: int, max_bytes: int) -> None:
        self.epochs = count()
        self.streams = Streams(lambda: str(next(self.epochs)), max_streams, max_bytes)
        self.max_streams, self.max_bytes = max_streams, max_bytes
        self.tops: dict[tuple[str, str], int] = {}
        self.now = 0.0

    @rule(channel=st.sampled_from("abcdef"), data=st.binary(max_size=12), ttl=st.integers(1, 5))
    def append(self, channel: str, data: bytes, ttl: int) -> None:
        publication = Publication(channel, encode(data))
        self.streams.append(publication, self.now, 3, float(ttl))
        life = channel, publication.epoch
        top = self.tops[life] = self.tops.get(life, 0) + 1
        assert publication.offset == top, "two publications at one place of one life"
        assert channel in self.streams._streams, "a channel has put itself out"

    @rule(channel=st.sampled_from("abcdef"))
    def read(self, channel: str) -> None:
        history = self.streams.history(channel, self.now, -1, None, reverse=False)
        assert history.position.offset == self.tops.get((channel, history.position.epoch), 0)

    @rule(channel=st.sampled_from("abcdef"))
    def ask_where_it_stands(self, channel: str) -> None:
        position = self.streams.position(channel)
        assert position.offset == self.tops.get((channel, position.epoch), 0)
        assert position == self.streams.history(channel, self.now, 0, None, reverse=False).position
        assert position == self.streams.position(channel), "a stream that nobody put out has begun anew"

    @rule(channel=st.sampled_from("abcdef"))
    def remove(self, channel: str) -> None:
        self.streams.remove(channel)
        assert self.streams.history(channel, self.now, -1, None, reverse=False).publications == []

    @rule(channel=st.sampled_from("abcdef"), missed=st.integers(0, 4))
    def recover(self, channel: str, missed: int) -> None:
        position = self.streams.history(channel, self.now, 0, None, reverse=False).position
        since = StreamPosition(position.offset - missed, position.epoch)
        recovery = self.streams.recover(channel, self.now, since)
        assert len(recovery.publications) == (missed if recovery.recovered else 0)

    @rule(seconds=st.integers(0, 3))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.streams) <= self.max_streams
        kept = [stream.bytes for stream in self.streams._streams.values() if isinstance(stream, Stream)]
        assert self.streams._bytes == sum(kept), "the count of bytes has gone astray"
        assert sum(kept) <= self.max_bytes, "all together hold more than they may"
        assert max(kept, default=0) <= self.max_bytes // 2, "one holds more than its share"


TestStreams = StreamsMachine.TestCase


def test_whoever_is_used_stays() -> None:
    """A channel that is published to or read keeps its life, however short its time; the unused ones go."""
    epochs = count()
    streams = Streams(lambda: str(next(epochs)), 1000, 1000)
    for number in range(8):
        streams.append(Publication(f"long:{number}", encode("x" * 100)), 0.0, 10, 3600.0)
    lives = set()
    for _ in range(20):
        streams.history("long:0", 0.0, 0, None, reverse=False)
        lives.add(streams.append(Publication("short", encode("y" * 100)), 0.0, 10, 1.0).epoch)
    assert len(lives) == 1
    assert next(iter(streams._streams)) == "long:4"
    assert "long:0" in streams._streams


def test_one_channel_does_not_put_out_all_others() -> None:
    """Its own oldest publications go when it has half of all the bytes, its tags counted."""
    streams = Streams(lambda: "life", 1000, 1000)
    streams.append(Publication("small", encode("hello")), 0.0, 10, 60.0)
    for _ in range(100):
        big = streams.append(Publication("big", encode("x" * 50), tags={"k": "v" * 49}), 0.0, 1000, 60.0)
    assert list(streams._streams) == ["small", "big"]
    assert (len(big), big.offset) == (5, 100)
    streams.append(Publication("big", encode("x" * 501)), 0.0, 1000, 60.0)
    assert (len(big), big.bytes) == (0, 0)


def test_tags_are_forgotten_with_their_publication() -> None:
    """What they took is free again."""
    stream = Stream("news", "life")
    for number in range(9):
        stream.append(Publication("news", encode("x"), tags={"n": str(number)}), 0.0, 3, 60.0)
    assert stream.bytes == 3 * 3


def test_what_has_expired_takes_no_memory() -> None:
    """Channels that nobody uses again lose their publications while others are published to."""
    streams = Streams(lambda: "life", 1000, 10**9)
    for number in range(500):
        streams.append(Publication(f"once:{number}", encode("x" * 100)), 0.0, 10, 5.0)
    for tick in range(100):
        streams.append(Publication("busy", encode("y")), 10.0 + tick, 1, 5.0)
    assert streams._bytes == 1
