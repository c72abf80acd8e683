"""Event streams in gzip, read by zlib: as they come, and to their end."""

from __future__ import annotations

import random
import zlib

from hypothesis import given
from hypothesis import strategies as st

from asgi_push.protocols.gzip_stream import GzipStream

LONG = b'{"order":4711,"status":"shipped"}' * 100

pieces = st.sampled_from([b"", b"short", LONG, b"x" * 512, b"id: 1,2\n\n", random.Random(1).randbytes(5000), LONG * 30])


@given(st.lists(st.lists(pieces)))
def test_all_is_there_at_once(texts: list[list[bytes]]) -> None:
    """Each text can be read as soon as it is here, and the end proves that nothing is missing."""
    stream, reader = GzipStream({}), zlib.decompressobj(31)
    for text in texts:
        whole = b"".join(text)
        assert reader.decompress(stream.encode(whole, text)) == whole
        stream.advance(whole)
    assert reader.decompress(stream.end() if texts else stream.encode(b"", ()) + stream.end()) == b""
    assert reader.eof


def test_what_streams_share_is_compressed_once() -> None:
    """Streams with ids of their own have the same block in them."""
    frames: dict[tuple[int, bytes], bytes] = {}
    for own in b"1", b"2":
        text = [LONG, own]
        made = GzipStream(frames).encode(b"".join(text), text)
        (block,) = frames.values()
        assert block in made
        assert len(made) < len(LONG) / 10


def test_what_was_not_sent_does_not_count() -> None:
    """A stream goes on where it was if a text could not be sent."""
    stream = GzipStream({})
    first = stream.encode(LONG, [LONG])
    assert stream.encode(LONG, [LONG]) == first
    stream.advance(LONG)
    assert zlib.decompress(first + stream.end(), 31) == LONG
