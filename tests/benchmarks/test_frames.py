"""What the load client makes of the bytes of servers that put several messages, or parts of one, into a frame."""

import pytest

from .frames import Lines, NatsMessages, Reader, text_frame

_NATS = [
    b'INFO {"server_id":"x"}\r\n',
    b'MSG all 1 7\r\n{"a":1}\r\nMSG all 1 7\r\n{"a":',
    b'2}\r\nPING\r\nMSG all 1 7\r\n{"a":3}\r\n',
]


def _fed(reader: Reader, frames: list[bytes], size: int) -> bytes:
    stream = b"".join(map(text_frame, frames))
    return b"".join(reader.feed(stream[place : place + size]) for place in range(0, len(stream), size))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_nats(size: int) -> None:
    """Of the protocol of NATS the payloads come, one a line, wherever a frame or a chunk ends."""
    assert _fed(NatsMessages(), _NATS, size) == b'{"a":1}\n{"a":2}\n{"a":3}\n'


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines(size: int) -> None:
    """Each frame is a line, also one whose length takes two bytes more."""
    assert _fed(Lines(), [b"one", b"x" * 300], size) == b"one\n" + b"x" * 300 + b"\n"
