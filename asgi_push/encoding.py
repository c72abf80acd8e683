"""Data of the application to bytes, once for all receivers."""

from typing import Any

import orjson

from .messages import Payload

# Keys that are no str become one, as in json.dumps; numpy arrays are lists to a browser.
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

_BYTES = (bytes, bytearray, memoryview)  # a tuple, as bytes | bytearray would be made anew for every publication


def encode(data: Any) -> Payload:
    """Encode a str or bytes as they are, anything else as JSON.

    Raises:
        ValueError: orjson cannot encode it; the message says what.
    """
    if type(data) is str:
        return Payload("text", _utf8(data))
    if isinstance(data, _BYTES):
        return Payload("binary", bytes(data))
    if isinstance(data, str):
        return Payload("text", _utf8(str(data)))
    try:
        # A copy: orjson writes into a kilobyte and gives back what it has not used, in pieces that fit nothing. What a
        # history keeps of small messages took five times its size, and the time to have all that memory.
        return Payload("json", memoryview(orjson.dumps(data, option=_OPTIONS)).tobytes())
    except orjson.JSONEncodeError as error:
        raise ValueError(f"data: {error}") from error


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which no WebSocket text frame may carry
        raise ValueError(f"data: not valid Unicode text: {error.reason}") from error
