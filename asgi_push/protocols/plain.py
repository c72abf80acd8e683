"""The plain protocol: for ``new WebSocket(url)`` and every hand-written page.

One message a publication: a str as it is, bytes as a binary frame, anything else as JSON. Three heartbeats are
understood, the ones that browser helpers and hand-written pages send; no control text is ever sent unasked.
"""

from ..disconnect import Disconnect
from ..messages import JoinLeave, Payload, Publication
from . import exact
from .wire import WireMessage, frame, sent_code

# A JSON heartbeat is small; looking for one in a large message would cost every message.
_MAX_HEARTBEAT = 1024

# What the plain protocol says by a standard code (RFC 6455 section 7.4.1 and the IANA registry). Never 1000 or 1001:
# helpers take those for an end that is meant, and stay away.
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


def heartbeat_answer(text: str, pong: str) -> WireMessage | None:
    """Return the answer if ``text`` is a heartbeat, else None.

    ``ping`` gets ``pong`` (or itself, with ``pong="echo"``), ``HeartBeat`` gets ``{"type":"pong"}``, and a JSON object
    of type ping comes back with all that is in it, as type pong.
    """
    if text == "ping":
        return _PING if pong == "echo" else _PONG
    if text == "HeartBeat":
        return _JSON_PONG
    if text[:1] == "{" and len(text) <= _MAX_HEARTBEAT and '"ping"' in text:
        return _json_answer(text)
    return None


def _json_answer(text: str) -> WireMessage | None:
    try:
        message = exact.loads(text)
        if message.get("type") != "ping":
            return None
        return WireMessage(exact.dumps(message | {"type": "pong"}), text=True)
    except ValueError:
        return None


def message(payload: Payload) -> WireMessage:
    """Return the one message that carries a payload."""
    return WireMessage(payload.data, text=payload.kind != "binary")


class PlainCodec:
    """One message a publication; a plain client is not told the channel."""

    name = "plain"
    ping = None

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the close code that says why a session ends."""
        return _STANDARD_CODES.get(disconnect.code, sent_code(disconnect))

    def encode(self, publication: Publication | JoinLeave) -> WireMessage | None:
        """Return the message that carries a publication; of who comes and goes a plain client is not told."""
        return None if isinstance(publication, JoinLeave) else message(publication.payload)

    def frame(self, publication: Publication) -> bytes:
        """Return the frame of the message that carries a publication."""
        payload = publication.payload
        return frame(payload.data, text=payload.kind != "binary")

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return them as they are: a plain client takes one message for one publication."""
        return messages


CODEC = PlainCodec()
