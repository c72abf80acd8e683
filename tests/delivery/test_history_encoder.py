"""What many are sent in one piece is encoded once, and in parts between which all others have their turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from asgi_push import Publication
from asgi_push.delivery import history_encoder
from asgi_push.delivery.history_encoder import HistoryEncoder
from asgi_push.protocols import Deflate, blocks, envelope
from asgi_push.protocols.blocks import Blocks
from asgi_push.protocols.centrifuge import json_codec
from tests.brokers.contract import publication


class Codec:
    """Counts what it encodes, and who had a turn meanwhile."""

    def __init__(self) -> None:
        self.encoded, self.turns = 0, list[int]()

    def encode_part(self, publications: Sequence[Publication]) -> list[Any]:
        self.encoded += len(publications)
        return [item.data for item in publications]

    def join_parts(self, parts: Sequence[list[Any]]) -> list[Any]:
        return [item for part in parts for item in part]


async def test_it_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all who are sent it, and others come in between."""
    monkeypatch.setattr(history_encoder, "_HOLD", 0.0)
    found, known, codec, made = (
        [publication("news", n, offset=n) for n in range(500)],
        dict[object, Any](),
        Codec(),
        HistoryEncoder(),
    )
    results = list[Any]()

    async def get() -> None:
        results.append(await made.encode(codec, found, known))

    async def other() -> None:
        while len(results) < 20:
            codec.turns.append(codec.encoded)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(get)
        tasks.start_soon(other)
    assert results == [list(range(500))] * 20
    assert codec.encoded == 500
    assert len(set(codec.turns)) > 5


async def test_one_that_cannot_be_encoded_leaves_all_as_they_are() -> None:
    """Whoever sends them leaves it out."""

    class Failing(Codec):
        def join_parts(self, parts: Sequence[list[Any]]) -> list[Any]:
            raise ValueError

    found = [publication("news", 1, offset=1)]
    assert await HistoryEncoder().encode(Failing(), found, {}) is found


async def test_the_json_of_a_piece_is_that_of_its_publications() -> None:
    """Whatever they are."""
    found = [publication("news", data, offset=n) for n, data in enumerate(["text", {"a": 1}, b"\x00", "\u00e9"], 1)]
    piece = await HistoryEncoder().encode(json_codec.CODEC, found, {})
    assert json.loads(json_codec.dumps({"publications": piece})) == json.loads(
        json_codec.dumps({"publications": found})
    )


async def test_what_is_compressed_is_so_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part at a time: nothing is left to do when a client's turn comes, however much all of it is."""
    monkeypatch.setattr(history_encoder, "_HOLD", 0.0)
    compress, order = blocks.compressed_block, list[str]()

    def noted(*args: Any) -> bytes:
        order.append("compressed")
        return compress(*args)

    async def other() -> None:
        for _ in range(20):
            order.append("another's turn")
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(blocks, "compressed_block", noted)
    deflate = Deflate(12, {}, Blocks())
    found = [publication("news", "shipped " * 100, offset=n) for n in range(5)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        messages = await HistoryEncoder().encode(envelope.CODEC, found, {}, deflate)
    assert order.count("compressed") == 5
    assert "another's turn" in order[order.index("compressed") : -order[::-1].index("compressed")]
    for message in messages:
        assert len(deflate.frame_of(message)) < message.size / 2
    assert order.count("compressed") == 5
