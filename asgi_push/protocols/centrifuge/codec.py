"""What the server says, whatever the encoding: replies, errors and pushes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ...disconnect import Disconnect
from ...messages import JoinLeave, Publication
from ..wire import WireMessage, sent_code
from .commands import Command, sparse


class Encoding(Protocol):
    """How messages are written and read; what is written may hold ``Payload``, ``Publication`` and ``ClientInfo``."""

    def part(self, publications: Sequence[Publication]) -> Any:
        """Return some of the publications of an answer, encoded."""
        ...

    def whole(self, parts: Sequence[Any]) -> Any:
        """Return parts as one, to stand in an answer for its publications."""
        ...

    def decode(self, frame: str | bytes) -> Iterator[Command[Any]]:
        """Yield the commands of a frame, in order, or raise Violation at the first that is none."""
        ...

    def message(self, content: Mapping[str, Any]) -> WireMessage:
        """Return the message with these fields."""
        ...

    def join(self, messages: list[WireMessage]) -> WireMessage:
        """Return one message that holds them all."""
        ...


class SdkCodec:
    """Speaks the protocol in one encoding."""

    name = "centrifuge"

    def __init__(self, encoding: Encoding) -> None:
        self._message = encoding.message
        self._join = encoding.join
        self.decode = encoding.decode
        self.part = encoding.part
        self.whole = encoding.whole
        self.ping: WireMessage | None = encoding.message({})

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the close code that says why a session ends: the protocol's own."""
        return sent_code(disconnect)

    def encode(self, publication: Publication | JoinLeave) -> WireMessage | None:
        """Return the push that carries a publication or a notice."""
        if isinstance(publication, JoinLeave):
            kind = "join" if publication.joined else "leave"
            return self.push(publication.channel, kind, {"info": publication.info})
        if not publication.channel:  # for this session alone
            return self.push("", "message", {"data": publication.payload})
        return self.push(publication.channel, "pub", publication)

    def frame(self, publication: Publication) -> bytes:
        """Return the frame of the push that carries a publication."""
        return self.push(publication.channel, "pub", publication).frame

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return one message that holds them all."""
        return [self._join(messages)]

    def reply(self, command_id: int, method: str, result: Mapping[str, Any]) -> WireMessage:
        """Return the answer to a command."""
        return self._message({"id": command_id, method: result})

    def error(self, command_id: int, error: tuple[int, str, bool]) -> WireMessage:
        """Return the error that answers a command: code, message, and whether trying again may help."""
        code, text, temporary = error
        return self._message({"id": command_id, "error": {"code": code, "message": text} | sparse(temporary=temporary)})

    def push(self, channel: str, kind: str, body: Mapping[str, Any] | Publication) -> WireMessage:
        """Return a message that no command asked for."""
        return self._message({"push": {"channel": channel, kind: body} if channel else {kind: body}})
