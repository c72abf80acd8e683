"""Event streams in gzip, read by zlib: as they come, and to their end."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.protocols.blocks import Blocks
from asgi_push.protocols.gzip_stream import GzipStream

MARK = b"\xff"
LONG = b'{"order":4711,"status":"shipped"}' * 100

pieces = st.sampled_from([b"", b"short", LONG, b"x" * 512, b"id: 1,2\n\n", b"y" * 70_000, LONG * 30])
noise = random.Random(1).randbytes(5000).replace(MARK, b"")


def own_text(shared: bytes, own: bytes) -> bytes:
    return shared.replace(MARK, own) if own else shared.replace(MARK + b",", b"")


@given(st.lists(st.tuples(st.lists(pieces | st.just(noise), min_size=1), st.sampled_from([b"", b"1.2", b"3"]))))
def test_all_is_there_at_once(texts: list[tuple[list[bytes], bytes]]) -> None:
    """Each text can be read as soon as it is here, and the end proves that nothing is missing."""
    stream, reader = GzipStream({}, Blocks()), zlib.decompressobj(31)
    for parts, own in [([b"begin"], b""), *texts]:
        shared = (MARK + b",").join(parts)
        text = own_text(shared, own)
        made = stream.encode(text, shared, MARK, own)
        assert made.endswith(b"\0\0\0\xff\xff"), "without which Go's reader hands out nothing"
        assert reader.decompress(made) == text
        stream.advance(text)
    assert reader.decompress(stream.end()) == b""
    assert reader.eof


def test_what_streams_share_is_compressed_once() -> None:
    """Streams with ids of their own have the same block in them."""
    known: dict[bytes, list[tuple[bytes, bytes]]] = {}
    shared = LONG + MARK + b",end"
    for own in b"1", b"2":
        made = GzipStream(known, Blocks()).encode(own_text(shared, own), shared, MARK, own)
        (found,) = known.values()
        assert found[0][0] in made
        assert len(made) < len(LONG) / 10


def test_few_texts_are_kept() -> None:
    """However many different ones come before they are forgotten."""
    known: dict[bytes, list[tuple[bytes, bytes]]] = {}
    stream = GzipStream(known, Blocks())
    for number in range(600):
        text = b"%d" % number * 200
        stream.encode(text, text, MARK, b"")
    assert 0 < len(known) <= 256


@pytest.mark.parametrize("text", [LONG, b"short"])
def test_what_was_not_sent_does_not_count(text: bytes) -> None:
    """A stream goes on where it was if a text could not be sent."""
    stream = GzipStream({}, Blocks())
    first = stream.encode(text, text, MARK, b"")
    assert stream.encode(text, text, MARK, b"") == first
    stream.advance(text)
    assert zlib.decompress(first + stream.end(), 31) == text


def test_what_streams_have_missed_is_compressed_once() -> None:
    """Though each begins with its own time and has its own ids, it is the same block in all."""
    blocks = Blocks()
    block = blocks.of(LONG)
    for own in b"retry: 1\n", b"retry: 2\n":
        text = own + b"id: 1\n\n" + LONG + b"id: 1,2" + own
        shared = own + b"id: " + MARK + b",1\n\n" + LONG + b"id: " + MARK + b",1,2" + own
        stream = GzipStream({}, blocks)
        made = stream.encode(text, shared, MARK, b"", [LONG])
        assert block in made
        assert len(made) < len(LONG) / 10
        stream.advance(text)
        assert zlib.decompress(made + stream.end(), 31) == text
