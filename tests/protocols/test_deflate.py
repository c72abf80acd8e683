"""Compressed frames, read back by zlib with no larger window than the receiver has."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_push.protocols import Deflate, WireMessage, frame
from asgi_push.protocols.blocks import Blocks
from asgi_push.protocols.deflate import can_compress

WINDOWS = [9, 10, 11, 12, 13, 14, 15]

contents = st.builds(lambda data, times, rest: data * times + rest, st.binary(), st.integers(0, 500), st.binary())


def split(data: bytes) -> tuple[int, bytes]:
    """Return the first byte of a frame, and its payload."""
    begin, width = {126: (4, 2), 127: (10, 8)}.get(data[1], (2, 0))
    assert len(data) - begin == (int.from_bytes(data[2 : 2 + width], "big") if width else data[1])
    return data[0], data[begin:]


def inflate(payload: bytes, bits: int) -> bytes:
    return zlib.decompressobj(-bits).decompress(payload + b"\x00\x00\xff\xff")


@given(contents, st.booleans(), st.sampled_from(WINDOWS))
def test_a_frame_is_read_as_it_was(data: bytes, text: bool, bits: int) -> None:
    """Whatever is in it; it is shorter if it is compressed, and has the RSV1 bit then, and only then."""
    plain = frame(data, text=text)
    made = Deflate(bits, {}, Blocks()).compress(plain)
    if made == plain:
        return
    first, payload = split(made)
    assert first == plain[0] | 0x40
    assert len(made) < len(plain)
    assert inflate(payload, bits) == data


@pytest.mark.parametrize("bits", WINDOWS)
@pytest.mark.parametrize("size", [600, 3000, 4096, 65_530, 65_536, 300_000])
def test_json_shrinks(bits: int, size: int) -> None:
    """To less than half of its size, in a window of any size, at each length."""
    chance = random.Random(size)
    data = b"".join(b'{"id":%d,"status":"shipped"},' % chance.randrange(10**6) for _ in range(size // 20))[:size]
    made = Deflate(bits, {}, Blocks()).compress(frame(data, text=True))
    assert len(made) < size / 2
    assert inflate(split(made)[1], bits) == data


@pytest.mark.parametrize("size", [600, 5000, 100_000])
def test_what_does_not_shrink_stays_as_it_is(size: int) -> None:
    """A picture is sent as it was."""
    data = frame(random.Random(size).randbytes(size), text=False)
    assert Deflate(12, {}, Blocks()).compress(data) is data


def test_a_frame_is_compressed_once_for_a_window() -> None:
    """Equal frames give one result, for receivers with other windows another, and the same again once forgotten."""
    frames: dict[tuple[int, bytes], bytes] = {}
    data = b"some words " * 1000
    large, small = Deflate(15, frames, Blocks()), Deflate(9, frames, Blocks())
    made = large.compress(frame(data, text=True))
    assert large.compress(frame(data, text=True)) is made
    assert small.compress(frame(data, text=True)) is not made
    frames.clear()
    again = large.compress(frame(data, text=True))
    assert again == made
    assert again is not made


def test_few_frames_are_kept() -> None:
    """However many different ones are compressed before they are forgotten."""
    frames: dict[tuple[int, bytes], bytes] = {}
    deflate = Deflate(12, frames, Blocks())
    for number in range(1000):
        deflate.compress(frame(b"%d " % number * 200, text=True))
    assert 0 < len(frames) <= 256


def test_windows() -> None:
    """zlib makes those of 9 to 15 bits."""
    assert [bits for bits in range(20) if can_compress(bits)] == WINDOWS


@pytest.mark.parametrize("bits", WINDOWS)
@pytest.mark.parametrize("text", [True, False])
def test_a_message_with_parts_that_others_have_too(bits: int, text: bool) -> None:
    """It is read as it was, also behind others of its connection, and the parts are compressed once for all."""
    deflate = Deflate(bits, {}, Blocks())
    reader = zlib.decompressobj(-bits)
    part = b'{"order":4711,"status":"shipped"},' * 100
    deflate.prepare(part)
    for number in range(3):
        message = WireMessage(b'{"id":%d,"missed":[%b]}' % (number, part), text=text)
        message.shared = (part,)
        first, payload = split(deflate.frame_of(message))
        assert first == 0x40 | (0x81 if text else 0x82)
        assert len(payload) < message.size / 5
        assert inflate(payload, bits) == message.data
        assert reader.decompress(payload + b"\x00\x00\xff\xff") == message.data


def test_a_message_that_does_not_shrink_stays_as_it_is() -> None:
    """Whether others have parts of it or not, and so does one for one receiver that is very long."""
    deflate = Deflate(12, {}, Blocks())
    noise = random.Random(1).randbytes(5000)
    message = WireMessage(noise, text=False)
    assert deflate.frame_of(message) == message.frame
    message.shared = (noise,)
    assert deflate.frame_of(message) == message.frame
    long = WireMessage(b"some words " * 30_000, text=True)
    assert deflate.frame_of(long) == long.frame
    long.shared = (long.data,)
    assert len(deflate.frame_of(long)) < long.size / 10
