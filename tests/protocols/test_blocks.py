"""Blocks of what clients missed, read back by zlib with no larger window than the receiver has."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.protocols import blocks
from asgi_push.protocols.blocks import Blocks, compressed_block

FLUSH = b"\0\0\0\xff\xff"
LONG = b'{"order":4711,"status":"shipped"}' * 30

pieces = st.sampled_from([LONG, b"x" * 600, LONG * 100, random.Random(1).randbytes(5000)])
between = st.sampled_from([b"", b'{"id":1,"publications":[', b",", b"y" * 700, b"z" * 2000])


def inflate(data: bytes, bits: int) -> bytes:
    return zlib.decompressobj(-bits).decompress(data + FLUSH)


@given(st.lists(st.tuples(between, pieces)), between, st.randoms(), st.sampled_from(range(9, 16)))
def test_a_message_of_pieces_is_read_as_it_was(
    parts: list[tuple[bytes, bytes]], rest: bytes, chance: random.Random, bits: int
) -> None:
    """Whatever is between them, also where they are told in another order, or are not in it at all."""
    data = b"".join([own + piece for own, piece in parts]) + rest
    told = [piece for _, piece in parts]
    assert inflate(Blocks().compose(data, told, bits), bits) == data
    chance.shuffle(told)
    assert inflate(Blocks().compose(data, [*told, b"nowhere" * 100], bits), bits) == data


def test_a_piece_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same block in all messages that have it, for each size of a window."""
    compressed = list[bytes]()

    def counted(data: bytes, bits: int) -> bytes:
        compressed.append(data)
        return compressed_block(data, bits)

    monkeypatch.setattr(blocks, "compressed_block", counted)
    made = Blocks()
    for number in range(3):
        for bits in (15, 9):
            data = b'{"id":%d,"publications":[%b]}' % (number, LONG)
            assert len(made.compose(data, [bytes(bytearray(LONG))], bits)) < len(data) / 5
    assert compressed == [LONG, LONG]


@pytest.mark.parametrize("before", [b"", b"x" * 5000, LONG[:100], LONG[:100] * 30], ids=["no", "far", "like", "both"])
def test_a_piece_is_found_wherever_it_is(before: bytes) -> None:
    """Far from the piece before it, and behind what begins as it does."""
    made = Blocks()
    assert made.compose(before + LONG, [LONG]).endswith(made.of(LONG))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not asked for longest is forgotten."""
    monkeypatch.setattr(blocks, "_MOST_KEPT", 10 * len(LONG))
    made = Blocks()
    first = made.of(LONG)
    for number in range(50):
        made.of(b"%d" % number + LONG)
        assert made.of(LONG) is first
    forgotten = made.of(b"0" + LONG)
    assert made.of(b"0" + LONG) is forgotten
    for number in range(50):
        made.of(b"%d" % number + LONG)
    assert made.of(LONG) == first
    assert made.of(LONG) is not first


def test_what_is_for_one_alone_is_not_compressed_if_it_is_very_long() -> None:
    """The event loop would wait for it."""
    data = LONG * 500
    assert len(Blocks().compose(data, [])) > len(data)
    assert len(Blocks().compose(data[: blocks.MOST_ALONE], [])) < len(data) / 10
