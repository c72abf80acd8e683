"""Encodes the application's data to bytes, once for all receivers."""

import sys
from typing import Any

import orjson

from .jsonable import Default, after, jsonable
from .messages import Payload

_BYTES = (
    bytes,
    bytearray,
    memoryview,
)  # a tuple: bytes | bytearray would be made for each publication

_NUMPY = orjson.OPT_SERIALIZE_NUMPY

# Only for data that orjson refused before. Keys that are no str double the cost; a time of day with
# a zone goes to ``jsonable``, as orjson cannot write it.
_REST = _NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def encode(data: Any, default: Default | None = None) -> Payload:
    """Encode data of any size; see ``Encoder.encode``."""
    return Encoder(default, sys.maxsize).encode(data)


class Encoder:
    """Encodes for one ``Push``: with its application's default, up to the size of a queue.

    Args:
        default: like the ``default`` of ``orjson.dumps``. If it raises TypeError, ``jsonable`` is
            asked.
        max_bytes: how many bytes one payload may have.
    """

    __slots__ = ("_default", "_max_bytes")

    def __init__(self, default: Default | None, max_bytes: int) -> None:
        self._default = default
        self._max_bytes = max_bytes

    def encode(self, data: Any) -> Payload:
        """Encode a str or bytes unchanged, anything else as JSON.

        A value that orjson does not know goes to the default, and then to ``jsonable``.

        Raises:
            ValueError: the data cannot be encoded, or is too large; the message says why.
        """
        if type(data) is str:
            try:
                payload = Payload("text", data.encode())
            except UnicodeEncodeError as error:  # a lone surrogate, which no text frame may carry
                raise ValueError(f"data: not valid Unicode text: {error.reason}") from error
        elif isinstance(data, _BYTES):
            payload = Payload("binary", bytes(data))
        elif isinstance(data, str):  # for a str Enum this is its value
            return self.encode(str.__str__(data))
        else:
            try:
                encoded = orjson.dumps(data, None, _NUMPY)
            except orjson.JSONEncodeError:
                encoded = _dumps("data", data, self._default)
            # A copy: orjson writes into a kilobyte and frees the rest of it, in pieces that fit
            # nothing. A history of small messages took five times its size, and the time to get
            # that memory.
            payload = Payload("json", memoryview(encoded).tobytes())
        if len(payload.data) > self._max_bytes:
            raise ValueError(
                f"data: {len(payload.data)} bytes is more than queue_bytes ({self._max_bytes})"
            )
        return payload

    def encode_info(self, info: Any) -> bytes | None:
        """Return the info of a session as JSON, None for None.

        Raises:
            ValueError: the info cannot be encoded, or has too many levels for where it is shown.
        """
        if info is None:
            return None
        # orjson writes 254 levels, and a message that carries an info has up to 8 of its own.
        nested = [[[[[[[[info]]]]]]]]
        try:
            return orjson.dumps(nested, None, _NUMPY)[8:-8]
        except orjson.JSONEncodeError:
            return _dumps("info", nested, self._default)[8:-8]


def decode_info(info: bytes | None) -> Any:
    """Return a new copy of what ``encode_info`` was given, as JSON has it."""
    return None if info is None else orjson.loads(info)


def _dumps(name: str, data: Any, default: Default | None) -> bytes:
    try:
        return orjson.dumps(data, jsonable if default is None else after(default), _REST)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"{name}: {_reason(error)}") from error


def _reason(error: orjson.JSONEncodeError) -> str:
    """Return what went wrong, with the cause: orjson names only the type if a default raised."""
    cause = error.__cause__
    if cause is None or str(cause) == str(error):
        return str(error)
    return f"{error} ({type(cause).__name__}: {cause!s:.200})"
