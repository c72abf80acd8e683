"""Envelopes: the plain protocol with positions, for pages that must lose nothing.

Each publication is a JSON object with its channel and its id. The id is the channel's own position,
the same for every receiver, so a publication is encoded once.
"""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from ..disconnect import Disconnect
from ..messages import JoinLeave, Payload, Publication, StreamPosition, parse_id
from . import lossless_json, plain
from .blocks import COMPRESS_FROM
from .wire import WireMessage, frame


class EnvelopeCodec:
    """Writes one message a publication, with the channel and the position in it."""

    # It is a form of the plain protocol, and sessions, logs and metrics say so.
    name = plain.CODEC.name
    ping = None

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the close code that says why a session ends."""
        return plain.CODEC.close_code(disconnect)

    def encode(self, publication: Publication | JoinLeave) -> WireMessage | None:
        """Return the message of a publication, None for a join or a leave, which are not told."""
        if isinstance(publication, JoinLeave):
            return None
        return WireMessage(_envelope(publication), text=True)

    def frame(self, publication: Publication) -> bytes:
        """Return the frame of a publication's message."""
        return frame(_envelope(publication), text=True)

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return the messages as they are: each is one publication."""
        return messages

    def encode_part(self, publications: Sequence[Publication]) -> list[WireMessage]:
        """Return the messages of some publications."""
        return [*map(_replayed, publications)]

    def join_parts(self, parts: Sequence[list[WireMessage]]) -> list[WireMessage]:
        """Return the messages of all parts."""
        return list(chain.from_iterable(parts))


CODEC = EnvelopeCodec()


def gap(channels: Sequence[str]) -> WireMessage:
    """Return what tells a page that something in these channels is lost for good."""
    return _message({"type": "gap", "channels": channels})


def welcome(session_id: str, ids: Mapping[str, str], *, recovered: bool) -> WireMessage:
    """Return what tells a page up to where it has been sent everything."""
    return _message({"type": "welcome", "session": session_id, "recovered": recovered, "ids": ids})


def _replayed(publication: Publication) -> WireMessage:
    """Return the message of a publication that others have missed, too."""
    message = WireMessage(_envelope(publication), text=True)
    if message.size >= COMPRESS_FROM:
        message.shared = (message.data,)
    return message


def _message(fields: Mapping[str, Any]) -> WireMessage:
    return WireMessage(orjson.dumps(fields), text=True)


def _envelope(publication: Publication) -> bytes:
    # What is sent to one session alone has no channel. An id needs no escapes: see ``position_id``.
    channel = publication.channel
    about = b'"channel":' + _json_text(channel) + b"," if channel else b""
    if publication.offset:
        about += b'"id":"%b",' % str(publication.id).encode()
    if publication.time is not None:
        about += b'"time":%.3f,' % publication.time
    if publication.awaited_by is not None and publication.offset:
        about += b'"confirm":true,'
    return b"{%b%b}" % (about, data_field(publication.payload))


def data_field(payload: Payload) -> bytes:
    """Return ``"data": ...`` with a payload as JSON, or ``"base64": ...`` with its bytes."""
    if payload.kind == "json":
        return b'"data":' + payload.data
    if payload.kind == "text":
        return b'"data":' + orjson.dumps(payload.data.decode())
    return b'"base64":"%b"' % base64.b64encode(payload.data)


@lru_cache(1024)  # of busy channels
def _json_text(text: str) -> bytes:
    return orjson.dumps(text)


def acknowledged(text: str) -> Mapping[str, StreamPosition] | None:
    """Return what a message of a page confirms, by channel; None if it confirms nothing.

    It is ``{"type": "ack", "channel": ..., "id": ...}`` (for one without a channel see
    ``answered``), or a ping with ``"seen"``, an object of
    channel -> id.

    Raises:
        ValueError: a channel or an id is none.
    """
    if text[:1] != "{" or ('"ack"' not in text and '"seen"' not in text):
        return None
    try:
        message = orjson.loads(text)
    except ValueError:
        return None
    match message:
        case {"type": "ack", **rest}:
            return {_channel(rest.get("channel")): _position(rest.get("id"))}
        case {"type": "ping", "seen": dict() as seen}:
            return {channel: _position(place) for channel, place in seen.items()}
        case {"type": "ping", "seen": _}:
            raise ValueError("seen must be an object of channel -> id")
    return None


def answered(text: str) -> tuple[str, bytes] | None:
    """Return the id and the JSON with which a page answers; None if the message is no answer.

    It is ``{"type": "answer", "id": ..., "data": ...}``, or ``{"type": "ack", "id": ...}`` for what
    was sent to it alone, which has the answer ``null``.

    Raises:
        ValueError: an answer has no id, or what is no JSON.
    """
    by_id = '"ack"' in text and '"channel"' not in text
    if text[:1] != "{" or not (by_id or '"answer"' in text):
        return None
    try:
        message = lossless_json.loads(text)
    except ValueError:
        return None
    match message:
        case {"type": "answer", "id": str(question_id), **rest}:
            return question_id, lossless_json.dumps(rest.get("data"))
        case {"type": "answer"}:
            raise ValueError("an answer needs an id")
        case {"type": "ack", "id": str(message_id), **rest} if "channel" not in rest:
            return message_id, b"null"
    return None


def _channel(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError("an ack needs a channel")
    return name


def _position(place: object) -> StreamPosition:
    position = parse_id(place) if isinstance(place, str) else None
    if position is None:
        raise ValueError("what is confirmed needs an id")
    return position
