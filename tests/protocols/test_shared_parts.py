"""What clients that come back are sent has parts in common, which are compressed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from asgi_push import Publication
from asgi_push.protocols import envelope, sse
from asgi_push.protocols.centrifuge import SdkCodec, json_codec, protobuf_codec
from asgi_push.protocols.centrifuge.codec import shared_pieces
from tests.brokers.contract import publication

LONG = "shipped " * 100
CODECS = {"json": json_codec.CODEC, "protobuf": protobuf_codec.CODEC}


def missed(channel: str, *data: Any) -> list[Publication]:
    return [publication(channel, item, offset=offset) for offset, item in enumerate(data, 1)]


def result(codec: SdkCodec, parts: Sequence[list[Publication]], **fields: Any) -> dict[str, Any]:
    """A subscription's, with publications that were encoded in these parts."""
    return {"epoch": "abc", "publications": codec.join_parts([*map(codec.encode_part, parts)]), **fields}


def test_a_long_envelope_is_shared_as_a_whole() -> None:
    """A short one is not worth it."""
    long, short = envelope.CODEC.encode_part(missed("news", LONG, "short"))
    assert long.shared == (long.data,)
    assert not short.shared


def test_events_share_all_but_their_ids() -> None:
    """Whatever a stream has been in besides, and whenever it is to come back."""
    events = sse.CODEC.encode_part(missed("news", LONG, "short", LONG + "again"))
    lines = [cast(sse.Event, event).lines for event in (events[0], events[2])]
    for retry, tokens in (1000, [b"AAAAAAAA"]), (2000, [b"BBBBBBBB.1.abc", b"CCCCCCCC"]):
        start = sse.CODEC.start(retry, tokens, [], events)
        assert start.shared == lines
        assert all(line in start.data for line in lines)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_replies_share_their_publications(codec: SdkCodec) -> None:
    """As they are in the reply, part by part; a short part is not worth it."""
    found = missed("news", LONG, LONG + "again", "short")
    parts = [found[:1], found[1:2], found[2:]]
    replies = [result(codec, parts, offset=offset) for offset in (1, 2)]
    shared = [shared_pieces(codec.reply(7, "subscribe", reply).data, reply) for reply in replies]
    assert shared[0] == shared[1]
    assert len(shared[0]) == 2
    data = codec.reply(7, "subscribe", replies[0]).data
    first, second = map(data.find, shared[0])
    assert 0 < first < second
    assert len(data) - sum(map(len, shared[0])) < 100


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_reply_to_connect_shares_those_of_its_subscriptions(codec: SdkCodec) -> None:
    """In the order in which they are in the reply, which Protobuf chooses."""
    subs = {name: result(codec, [missed(name, f"{name} {LONG}")]) for name in "abcdefgh"}
    reply = {"client": "me", "subs": subs}
    data = codec.reply(1, "connect", reply).data
    shared = shared_pieces(data, reply)
    assert len(shared) == len(subs)
    assert all(part in data for part in shared)
    assert sorted(shared, key=data.find) == shared
