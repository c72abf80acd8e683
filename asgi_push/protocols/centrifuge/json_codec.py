"""The JSON encoding: objects joined by newlines, both ways."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ...messages import ClientInfo, Payload, Publication
from ...schema import Decoder, Invalid
from .. import lossless_json
from ..wire import WireMessage
from .codec import EncodedPublications, SdkCodec
from .commands import MAX_ID, PONG, REQUESTS, Command, sparse
from .errors import Violation
from .known_commands import KnownCommands


class JsonEncoding:
    """Speaks JSON in text messages."""

    def __init__(self) -> None:
        self._commands = KnownCommands(_command)

    def decode(self, frame: str | bytes) -> Iterator[Command[Any]]:
        """Yield the commands of a frame, in order; raise Violation at the first invalid one."""
        text = frame if isinstance(frame, str) else _text(frame)
        return map(self._commands.read, text.removesuffix("\n").split("\n"))

    def encode_part(self, publications: Sequence[Publication]) -> bytes:
        """Encode some of the publications of a reply."""
        return b",".join(map(dumps, publications))

    def join_parts(self, parts: Sequence[bytes]) -> EncodedPublications:
        """Return encoded parts as one."""
        return EncodedPublications(orjson.Fragment(b"[%b]" % b",".join(parts)), lambda: parts)

    def message(self, content: Mapping[str, Any]) -> WireMessage:
        """Return the message with these fields."""
        return WireMessage(dumps(content), text=True)

    def join(self, messages: list[WireMessage]) -> WireMessage:
        """Return one message that holds all these."""
        return WireMessage(b"\n".join([message.data for message in messages]), text=True)


def dumps(content: Mapping[str, Any] | Publication) -> bytes:
    """Return JSON; the content may hold ``Payload``, ``Publication`` and ``ClientInfo``."""
    return orjson.dumps(content, default=_default, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _default(value: Any) -> Any:
    if isinstance(value, Payload):
        return _fragment(value)
    if isinstance(value, Publication):
        return publication_fields(value)
    if isinstance(value, EncodedPublications):
        return value.content
    if isinstance(value, ClientInfo):
        return sparse(
            user=value.user,
            client=value.client,
            conn_info=value.conn_info,
            chan_info=value.chan_info,
        )
    raise TypeError(type(value).__name__)


def _fragment(payload: Payload) -> Any:
    if payload.kind == "json":
        # A newline in JSON is only white space, but here it would end the message.
        data = payload.data
        return orjson.Fragment(data.replace(b"\n", b"") if b"\n" in data else data)
    return (
        payload.data.decode() if payload.kind == "text" else base64.b64encode(payload.data).decode()
    )


def publication_fields(publication: Publication) -> dict[str, Any]:
    """Return the fields of a publication, for ``dumps``."""
    rest = sparse(offset=publication.offset, tags=publication.tags, info=publication.info)
    return {"data": _fragment(publication.payload)} | rest


def _text(frame: bytes) -> str:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        raise Violation("not valid UTF-8") from None


def _command(line: str) -> Command[Any]:
    try:
        content = lossless_json.loads(line)
    except ValueError:
        raise Violation("not valid JSON") from None
    if not isinstance(content, dict):
        raise Violation("a command must be an object")
    command_id = content.get("id", 0)
    if type(command_id) is not int or not 0 <= command_id <= MAX_ID:
        raise Violation("id must be a whole number below 2**32")
    method = _method(content)
    if command_id == 0 and method != "send":
        return PONG
    if not method:
        raise Violation("no known command")
    fields = content[method]
    try:
        request = _DECODERS[method]({} if fields is None else fields)
    except Invalid as invalid:
        raise Violation(str(invalid)) from None
    return Command(command_id, method, request, _size(line))


def _method(content: dict[str, Any]) -> str:
    """Return the method of a command, the first of several; empty without a known one."""
    found = ""
    for name in content:
        if name in _DECODERS:
            if found:
                return next(name for name in _DECODERS if name in content)
            found = name
    return found


def _size(line: str) -> int:
    return len(line) if line.isascii() else len(line.encode())


def _payload(name: str, value: Any) -> Payload:
    if isinstance(value, str):
        return Payload("text", value.encode())
    try:
        return Payload("json", lossless_json.dumps(value))
    except ValueError:  # orjson reads what is nested deeper than it writes
        raise Invalid(name, "is nested too deeply") from None


# What decodes the request of each method.
_DECODERS: dict[str, Callable[[Any], Any]] = {
    method: Decoder(request, method, {Payload: _payload}).decode
    for method, request in REQUESTS.items()
}

CODEC = SdkCodec(JsonEncoding())
