"""The plain protocol: for ``new WebSocket(url)`` and every hand-written page.

One message a publication: a str as it is, bytes as a binary frame, anything else as JSON. The three
heartbeats of browser helpers and hand-written pages are understood. No control text is ever sent
unasked.
"""

from ..disconnect import Disconnect
from ..messages import JoinLeave, Payload, Publication
from . import lossless_json
from .wire import WireMessage, frame, sent_code

# A JSON heartbeat is small; looking for one in a large message would cost every message.
MAX_HEARTBEAT = 1024

# Disconnects that the plain protocol tells by a standard code (RFC 6455 section 7.4.1 and the IANA
# registry). Never 1000 or 1001: helpers take those for a wanted end, and do not reconnect.
_STANDARD_CODES = {
    Disconnect.SHUTDOWN.code: 1012,
    Disconnect.FORCE_RECONNECT.code: 1012,
    Disconnect.SERVER_ERROR.code: 1011,
    Disconnect.SLOW.code: 1013,
    Disconnect.OVERLOADED.code: 1013,
}

_PONG = WireMessage(b"pong", text=True)
_PING = WireMessage(b"ping", text=True)
_JSON_PONG = WireMessage(b'{"type":"pong"}', text=True)


def heartbeat_answer(text: str, pong: str, longest: int = MAX_HEARTBEAT) -> WireMessage | None:
    """Return the answer if ``text`` is a heartbeat, else None.

    ``ping`` gets ``pong`` (or ``ping``, with ``pong="echo"``). ``HeartBeat`` gets
    ``{"type":"pong"}``. A JSON object of type ping comes back as type pong with all its fields.
    """
    if text == "ping":
        return _PING if pong == "echo" else _PONG
    if text == "HeartBeat":
        return _JSON_PONG
    if text[:1] == "{" and len(text) <= longest and '"ping"' in text:
        return _json_answer(text)
    return None


def _json_answer(text: str) -> WireMessage | None:
    try:
        message = lossless_json.loads(text)
        if message.get("type") != "ping":
            return None
        return WireMessage(lossless_json.dumps(message | {"type": "pong"}), text=True)
    except ValueError:
        return None


def message(payload: Payload) -> WireMessage:
    """Return the one message that carries a payload."""
    return WireMessage(payload.data, text=payload.kind != "binary")


class PlainCodec:
    """Writes one message a publication; a plain client is not told the channel."""

    name = "plain"
    ping = None

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the close code that says why a session ends."""
        return _STANDARD_CODES.get(disconnect.code, sent_code(disconnect))

    def encode(self, publication: Publication | JoinLeave) -> WireMessage | None:
        """Return the message of a publication, None for a join or a leave, which are not told."""
        return None if isinstance(publication, JoinLeave) else message(publication.payload)

    def frame(self, publication: Publication) -> bytes:
        """Return the frame of a publication's message."""
        payload = publication.payload
        return frame(payload.data, text=payload.kind != "binary")

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return the messages as they are: each is one publication to a plain client."""
        return messages


CODEC = PlainCodec()
