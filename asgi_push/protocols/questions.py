"""Messages that a client answers or confirms by the id in them: JSON in every protocol. Pure."""

import orjson

from ..messages import Payload
from .envelope import data_field


def question(question_id: str, payload: Payload) -> bytes:
    """Return ``{"type": "ask", "id", "data"}``; bytes are in ``"base64"`` instead of ``"data"``."""
    return b'{"type":"ask","id":%b,%b}' % (orjson.dumps(question_id), data_field(payload))


def numbered(message_id: str, payload: Payload) -> bytes:
    """Return ``{"id", "data"}``: what was sent to one session, which is to confirm it."""
    return b'{"id":%b,%b}' % (orjson.dumps(message_id), data_field(payload))
