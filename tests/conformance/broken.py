"""What a client must not send (RFC 6455, sections 5 and 8.1)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.frames import CLOSE, CONTINUATION, PING, TEXT, masked


@dataclass(frozen=True, slots=True)
class Broken:
    """Some bytes, and the close code that says what is wrong with them."""

    sent: bytes
    code: int = 1002


BROKEN = {
    "text that is no UTF-8": Broken(masked(TEXT, b"\xff\xfe\x00"), 1007),
    "a surrogate": Broken(masked(TEXT, b"\xed\xa0\x80"), 1007),
    "a character beyond the last": Broken(masked(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "a character in too many bytes": Broken(masked(TEXT, b"\xc0\xaf"), 1007),
    "text cut in a character": Broken(masked(TEXT, b"\xe2\x82"), 1007),
    "a character cut by a fragment that does not go on": Broken(
        masked(TEXT, b"\xe2\x82", fin=False) + masked(CONTINUATION, b" "), 1007
    ),
    "a reserved opcode": Broken(masked(3, b"x")),
    "a reserved control opcode": Broken(masked(11)),
    "the first reserved bit": Broken(masked(TEXT, b"x", rsv=4)),
    "the second reserved bit": Broken(masked(TEXT, b"x", rsv=2)),
    "the third reserved bit": Broken(masked(TEXT, b"x", rsv=1)),
    "a reserved bit on a ping": Broken(masked(PING, b"x", rsv=4)),
    "a frame without a mask": Broken(b"\x81\x01x"),
    "a long ping": Broken(masked(PING, b"x" * 126)),
    "half a ping": Broken(masked(PING, b"x", fin=False)),
    "a continuation of nothing": Broken(masked(CONTINUATION, b"x")),
    "a message in a message": Broken(masked(TEXT, b"x", fin=False) + masked(TEXT, b"x")),
    "a close with half a code": Broken(masked(CLOSE, b"\x03")),
    "a close with a code that is never sent": Broken(masked(CLOSE, b"\x03\xed")),
    "a close with a code below all": Broken(masked(CLOSE, b"\x03\xe7")),
    "a close with a reason that is no UTF-8": Broken(masked(CLOSE, b"\x03\xe8\xff"), 1007),
    "a length of more than 63 bits": Broken(b"\x82\xff" + b"\xff" * 12, 1009),
    "noise": Broken(bytes(range(255, 0, -1)) * 20),
    "an HTTP request": Broken(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
}
