"""Data of the application to bytes, once for all receivers."""

from typing import Any

import orjson

from .jsonable import Default, after, jsonable
from .messages import Payload

_BYTES = (bytes, bytearray, memoryview)  # a tuple, as bytes | bytearray would be made anew for every publication

_NUMPY = orjson.OPT_SERIALIZE_NUMPY

# What plain data does without: keys that are no str, which double its cost, and times of a day with a zone, which
# orjson refuses.
_REST = _NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def encode(data: Any, default: Default | None = None) -> Payload:
    """Encode a str or bytes as they are, anything else as JSON.

    What orjson does not know goes to ``default``, as in ``orjson.dumps``, and then to ``jsonable``.

    Raises:
        ValueError: it cannot be encoded; the message says what.
    """
    if type(data) is str:
        try:
            return Payload("text", data.encode())
        except UnicodeEncodeError as error:  # a lone surrogate, which no WebSocket text frame may carry
            raise ValueError(f"data: not valid Unicode text: {error.reason}") from error
    if isinstance(data, _BYTES):
        return Payload("binary", bytes(data))
    if isinstance(data, str):  # of a str Enum the value, of another subclass the text that it holds
        return encode(str.__str__(data))
    try:
        encoded = orjson.dumps(data, None, _NUMPY)
    except orjson.JSONEncodeError:
        encoded = _dumps("data", data, default)
    # A copy: orjson writes into a kilobyte and gives back what it has not used, in pieces that fit nothing. What a
    # history keeps of small messages took five times its size, and the time to have all that memory.
    return Payload("json", memoryview(encoded).tobytes())


class Encoder:
    """How one ``Push`` encodes: with the default of its application, and nothing that no queue could hold.

    Args:
        default: as that of ``orjson.dumps``; asked before ``jsonable``, which a TypeError of it leaves the value to.
        max_bytes: of one payload.
    """

    __slots__ = ("_default", "_max_bytes")

    def __init__(self, default: Default | None, max_bytes: int) -> None:
        self._default = default
        self._max_bytes = max_bytes

    def encode(self, data: Any) -> Payload:
        """Encode what is to be sent; ValueError if it cannot be, or is too large."""
        payload = encode(data, self._default)
        if len(payload.data) > self._max_bytes:
            raise ValueError(f"data: {len(payload.data)} bytes is more than queue_bytes ({self._max_bytes})")
        return payload

    def encode_info(self, info: Any) -> bytes | None:
        """Return what the application says of a session as JSON, None for nothing.

        Raises:
            ValueError: it cannot be encoded wherever it is shown.
        """
        if info is None:
            return None
        # orjson writes 254 levels, and what carries an info has up to 8 of its own.
        nested = [[[[[[[[info]]]]]]]]
        try:
            return orjson.dumps(nested, None, _NUMPY)[8:-8]
        except orjson.JSONEncodeError:
            return _dumps("info", nested, self._default)[8:-8]


def decode_info(info: bytes | None) -> Any:
    """Return what ``encode_info`` was given, as JSON has it: a new one each time."""
    return None if info is None else orjson.loads(info)


def _dumps(name: str, data: Any, default: Default | None) -> bytes:
    try:
        return orjson.dumps(data, jsonable if default is None else after(default), _REST)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"{name}: {_reason(error)}") from error


def _reason(error: orjson.JSONEncodeError) -> str:
    """Return what went wrong; orjson tells of what a default raised by the type alone."""
    cause = error.__cause__
    if cause is None or str(cause) == str(error):
        return str(error)
    return f"{error} ({type(cause).__name__}: {cause!s:.200})"
