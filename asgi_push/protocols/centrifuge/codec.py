"""What the server says, whatever the encoding: replies, errors and pushes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from ...disconnect import Disconnect
from ...messages import JoinLeave, Publication
from ..blocks import COMPRESS_FROM
from ..wire import WireMessage, sent_code
from .commands import Command, sparse


class EncodedPublications:
    """The publications of a reply, encoded once for all clients that are sent them.

    Attributes:
        content: what stands for them in the content of a message.
    """

    __slots__ = ("_make", "_pieces", "content")

    def __init__(self, content: Any, make: Callable[[], Iterable[bytes]]) -> None:
        """``make`` returns their bytes in the reply to a subscribe, in parts."""
        self.content = content
        self._make = make
        self._pieces: list[bytes] | None = None

    @property
    def shared(self) -> list[bytes]:
        """Their long parts in each reply, in order."""
        if self._pieces is None:
            self._pieces = [part for part in self._make() if len(part) >= COMPRESS_FROM]
        return self._pieces


class Encoding(Protocol):
    """Reads and writes messages.

    What is written may hold ``Payload``, ``Publication``, ``EncodedPublications`` and
    ``ClientInfo``.
    """

    def encode_part(self, publications: Sequence[Publication]) -> Any:
        """Encode some of the publications of a reply."""
        ...

    def join_parts(self, parts: Sequence[Any]) -> EncodedPublications:
        """Return encoded parts as one."""
        ...

    def decode(self, frame: str | bytes) -> Iterator[Command[Any]]:
        """Yield the commands of a frame, in order; raise Violation at the first invalid one."""
        ...

    def message(self, content: Mapping[str, Any]) -> WireMessage:
        """Return the message with these fields."""
        ...

    def join(self, messages: list[WireMessage]) -> WireMessage:
        """Return one message that holds all these."""
        ...


class SdkCodec:
    """Speaks the protocol in one encoding."""

    name = "centrifuge"

    def __init__(self, encoding: Encoding) -> None:
        self._message = encoding.message
        self._join = encoding.join
        self.decode = encoding.decode
        self.encode_part = encoding.encode_part
        self.join_parts = encoding.join_parts
        self.ping: WireMessage | None = encoding.message({})

    def close_code(self, disconnect: Disconnect) -> int:
        """Return the close code that says why a session ends: the protocol's own."""
        return sent_code(disconnect)

    def encode(self, publication: Publication | JoinLeave) -> WireMessage | None:
        """Return the push of a publication, a join or a leave."""
        if isinstance(publication, JoinLeave):
            kind = "join" if publication.joined else "leave"
            return self.push(publication.channel, kind, {"info": publication.info})
        if not publication.channel:  # for this session alone
            return self.push("", "message", {"data": publication.payload})
        return self.push(publication.channel, "pub", publication)

    def frame(self, publication: Publication) -> bytes:
        """Return the frame of a publication's push."""
        return self.push(publication.channel, "pub", publication).frame

    def join(self, messages: list[WireMessage]) -> list[WireMessage]:
        """Return one message that holds all these."""
        return [self._join(messages)]

    def reply(self, command_id: int, method: str, result: Mapping[str, Any]) -> WireMessage:
        """Return the reply to a command."""
        return self._message({"id": command_id, method: result})

    def error(self, command_id: int, error: tuple[int, str, bool]) -> WireMessage:
        """Return the reply to a command that failed; see ``ErrorCode``."""
        code, text, temporary = error
        return self._message(
            {
                "id": command_id,
                "error": {"code": code, "message": text} | sparse(temporary=temporary),
            }
        )

    def push(self, channel: str, kind: str, body: Mapping[str, Any] | Publication) -> WireMessage:
        """Return a message that no command asked for."""
        return self._message(
            {"push": {"channel": channel, kind: body} if channel else {kind: body}}
        )


def shared_pieces(data: bytes, result: Mapping[str, Any]) -> list[bytes]:
    """Return what a reply has in common with others, in order; ``data`` is the whole reply."""
    found = [item.shared for item in _publications(result) if item.shared]
    if len(found) > 1:  # Protobuf writes maps in any order
        found.sort(key=lambda parts: data.find(parts[0]))
    return [*chain.from_iterable(found)]


def _publications(result: Mapping[str, Any]) -> Iterator[EncodedPublications]:
    """Yield the publications of a result, and those of the subscriptions in it."""
    publications = result.get("publications")
    if isinstance(publications, EncodedPublications):
        yield publications
    for subscription in result.get("subs", {}).values():
        yield from _publications(subscription)
