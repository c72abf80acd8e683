"""RFC 6455 on the direct path, by a client that takes no frame that is not right, while publications stream to it.

See frames.py for what is checked of every byte that comes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.conformance.broken import BROKEN
from tests.conformance.client import Client
from tests.conformance.control import Desk
from tests.conformance.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, masked
from tests.servers import Server

# Two, three and four bytes a character, the last character there is, and U+0000.
CHARACTERS = "\u03ba\u1f79\u03c3\u03bc\u03b5 \u0000\u07ff\uffff\U00010000\U0010ffff"
ENCODED = CHARACTERS.encode()


class Streamed:
    """A client that gets back what it sends, among a stream of numbers, of which none may be missing."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._next = 0

    def receive(self) -> str | bytes:
        """Return the next message that is not of the stream."""
        while self._is_next(message := self.client.receive()):
            pass
        return message

    def _is_next(self, message: str | bytes) -> bool:
        if not str(message).startswith("ticks "):
            return False
        assert message == f"ticks {self._next}"
        self._next += 1
        return True

    def receive_close(self) -> int:
        """Return the code of the server's close, before which comes nothing but the stream."""
        messages, closed = self.client.receive_to_close()
        assert all(self._is_next(message) for message in messages), messages
        self.client.read_to_end()
        return closed.code


@contextmanager
def streamed(server: Server) -> Iterator[Streamed]:
    desk = Desk(server)
    with desk.connect("echo", "?channels=ticks") as client, ThreadPoolExecutor(1) as thread:
        streaming = thread.submit(desk.ask, "stream", user="echo")
        try:
            both = Streamed(client)
            assert both._is_next(client.receive())
            yield both
        finally:
            client.close()
            streaming.result()


def fragments(payload: bytes, size: int, opcode: int = TEXT, between: bytes = b"") -> bytes:
    """A message in fragments of ``size`` bytes, with other frames between them."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    frames = [
        masked(CONTINUATION if number else opcode, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
    return between.join(frames)


MESSAGES: dict[str, tuple[bytes, str | bytes]] = {
    **{
        f"text of {size}": (masked(TEXT, b"*" * size), "*" * size)
        for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536)
    },
    **{
        f"bytes of {size}": (masked(BINARY, b"\xfe" * size), b"\xfe" * size)
        for size in (0, 1, 125, 126, 65_535, 65_536)
    },
    "all kinds of characters": (masked(TEXT, ENCODED), CHARACTERS),
    "a mask of zeros": (masked(TEXT, ENCODED, mask=bytes(4)), CHARACTERS),
    "characters cut by fragments": (fragments(ENCODED, 1), CHARACTERS),
    "fragments of bytes": (fragments(bytes(range(256)), 100, BINARY), bytes(range(256))),
    "empty fragments": (masked(TEXT, fin=False) + masked(CONTINUATION, fin=False) + masked(CONTINUATION), ""),
    "an empty last fragment": (masked(TEXT, b"x", fin=False) + masked(CONTINUATION), "x"),
    "pings between fragments": (fragments(ENCODED, 2, between=masked(PING, b"between")), CHARACTERS),
    "a pong that nobody asked for": (masked(PONG, b"unasked") + masked(TEXT, b"x"), "x"),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_a_message_comes_back(server: Server, what: str) -> None:
    """As it was, in whatever way it was sent; and a ping behind it is answered."""
    sent, message = MESSAGES[what]
    with streamed(server) as both:
        both.client.sock.sendall(sent)
        assert both.receive() == message
        both.client.sock.sendall(masked(PING, b"the end"))
        while (pong := both.client.receive_pong()) != b"the end":
            assert pong == b"between"


def test_messages_byte_by_byte(server: Server) -> None:
    """However the network cuts it, a message is a message."""
    with streamed(server) as both:
        for byte in masked(TEXT, b"x" * 130) + fragments(ENCODED, 3, between=masked(PING, b"!")):
            both.client.sock.sendall(bytes([byte]))
        assert (both.receive(), both.receive()) == ("x" * 130, CHARACTERS)
        assert both.client.pongs == [b"!"] * (len(ENCODED) // 3 - (len(ENCODED) % 3 == 0))


def test_pings_are_answered(server: Server) -> None:
    """Each by a pong with the same payload, in order, of every size that there may be."""
    with streamed(server) as both:
        payloads = [b"", b"x", b"\x00\xff" * 62, b"x" * 125, *(b"%d" % number for number in range(50))]
        both.client.sock.sendall(b"".join(masked(PING, payload) for payload in payloads))
        assert [both.client.receive_pong() for _ in payloads] == payloads


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_a_close_is_answered(server: Server, code: int) -> None:
    """With the same code, after which nothing comes but the end of the connection."""
    with streamed(server) as both:
        both.client.send_close(code, "\u03ba" * 61)
        assert both.receive_close() == code


def test_a_close_without_a_code_is_answered(server: Server) -> None:
    """By one without a code."""
    with streamed(server) as both:
        both.client.send_frame(CLOSE)
        assert both.receive_close() == 1005


def test_what_comes_after_a_close_is_ignored(server: Server) -> None:
    """No message and no ping has an answer then."""
    with streamed(server) as both:
        late = masked(CLOSE, struct.pack("!H", 1000)) + masked(PING, b"late") + masked(TEXT, b"late")
        both.client.sock.sendall(late)
        assert both.receive_close() == 1000
        assert both.client.pongs == []


@pytest.mark.parametrize("what", BROKEN)
def test_a_violation_is_answered_by_a_close(server: Server, what: str) -> None:
    """With the code that says why, in the midst of the stream, and nothing behind it."""
    with streamed(server) as both:
        both.client.sock.sendall(BROKEN[what].sent)
        assert both.receive_close() == BROKEN[what].code


def test_two_halves_of_messages(server: Server) -> None:
    """A publication comes between the fragments of a message to the server without harm to either."""
    with streamed(server) as both:
        both.client.send_frame(TEXT, ENCODED[:7], fin=False)
        before = both._next
        while both._next < before + 5:
            assert both._is_next(both.client.receive())
        both.client.send_frame(CONTINUATION, ENCODED[7:])
        assert both.receive() == CHARACTERS
