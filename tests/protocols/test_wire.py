"""Frames, read back by another implementation of RFC 6455."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from asgi_push.protocols import WireMessage, frame


def read(data: bytes) -> list[tuple[Opcode, bytes | str, bool]]:
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(data)
    return [(item.opcode, item.payload, item.message_finished) for item in client.received_frames()]


@given(st.lists(st.text() | st.binary(), max_size=5))
def test_frames_are_read_as_they_were_written(contents: list[str | bytes]) -> None:
    """Frames in a row are the same messages in the same order, each in one frame, text as text."""
    messages = [
        WireMessage(item.encode(), text=True) if isinstance(item, str) else WireMessage(item, text=False)
        for item in contents
    ]
    opcodes = [Opcode.TEXT if isinstance(item, str) else Opcode.BINARY for item in contents]
    expected = [(opcode, item, True) for opcode, item in zip(opcodes, contents, strict=True)]
    assert read(b"".join(message.frame for message in messages)) == expected
    assert [message.content for message in messages] == contents


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("text", [True, False])
def test_each_form_of_the_length(size: int, text: bool) -> None:
    """Lengths of 7, 16 and 64 bits, each from its first size on and no sooner (RFC 6455: the shortest that does)."""
    data = frame(b"x" * size, text=text)
    assert len(data) - size == (2 if size < 126 else 4 if size < 65_536 else 10)
    ((opcode, payload, finished),) = read(data)
    assert (opcode is Opcode.TEXT, len(payload), finished) == (text, size, True)


def test_frames_are_made_once() -> None:
    """A thousand receivers share one frame and one str."""
    message = WireMessage(b"x", text=True)
    assert message.frame is message.frame
    assert message.content is message.content
