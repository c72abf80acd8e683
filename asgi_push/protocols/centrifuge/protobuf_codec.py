"""The Protobuf encoding: messages with their length before them, both ways.

Needs the extra [protobuf].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from ...messages import ClientInfo, Payload, Publication
from ...schema import maker
from ..lossless_json import is_json
from ..wire import WireMessage
from . import messages_pb2
from .codec import EncodedPublications, SdkCodec
from .commands import PONG, REQUESTS, Command, Position, Subscribe, sparse
from .errors import Violation

pb: Any = messages_pb2  # generated, without types

# A length is a varint of at most five bytes: no frame is longer than 32 bits can say.
_MAX_VARINT_BYTES = 5


class ProtobufEncoding:
    """Speaks Protobuf in binary messages."""

    def decode(self, frame: str | bytes) -> Iterator[Command[Any]]:
        """Yield the commands of a frame, in order; raise Violation at the first invalid one."""
        if isinstance(frame, str):
            raise Violation("text where Protobuf was agreed on")
        if not frame:
            raise Violation("an empty frame")
        return map(_command, _parts(frame))

    def encode_part(self, publications: Sequence[Publication]) -> list[Any]:
        """Return some of the publications of a reply as messages."""
        return [_fill(pb.Publication(), _publication(publication)) for publication in publications]

    def join_parts(self, parts: Sequence[list[Any]]) -> EncodedPublications:
        """Return encoded parts as one."""
        return EncodedPublications([*chain.from_iterable(parts)], lambda: map(_bytes_of, parts))

    def message(self, content: Mapping[str, Any]) -> WireMessage:
        """Return the message with these fields."""
        data = _fill(pb.Reply(), content).SerializeToString()
        return WireMessage(_varint(len(data)) + data, text=False)

    def join(self, messages: list[WireMessage]) -> WireMessage:
        """Return one message that holds all these."""
        return WireMessage(b"".join([message.data for message in messages]), text=False)


def _bytes_of(publications: list[Any]) -> bytes:
    """Return the bytes of publications in the reply to a subscribe."""
    return pb.SubscribeResult(publications=publications).SerializeToString()  # type: ignore[no-any-return]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _parts(frame: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(frame):
        size, position = _read_varint(frame, position)
        if position + size > len(frame):
            raise Violation("a message is cut off")
        yield frame[position : position + size]
        position += size


def _read_varint(frame: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(frame[position : position + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise Violation("a length is not a varint")


def _command(data: bytes) -> Command[Any]:
    command = pb.Command()
    try:
        command.ParseFromString(data)
    except DecodeError:
        raise Violation("not a command") from None
    method = next((name for name in _READERS if command.HasField(name)), "")
    if command.id == 0 and method != "send":
        return PONG
    if not method:
        raise Violation("no known command")
    request = _READERS[method].read(getattr(command, method))
    return Command(command.id, method, request, len(data))


# The records of messages that stand in others. Of all other types only the presence matters.
_INNER = {"SubscribeRequest": Subscribe, "StreamPosition": Position}


class _Reader:
    """Makes the record of a message of one type; Protobuf has checked the types of its fields."""

    def __init__(self, record: type, descriptor: Any) -> None:
        self._make = maker(record)
        self._scalars: list[str] = []
        self._payloads: list[str] = []
        self._inner: list[tuple[str, Callable[[Any, str], Any]]] = []
        for item in fields(record):
            field = descriptor.fields_by_name[item.name]
            if field.message_type is not None:
                self._inner.append((item.name, _inner_reader(field.message_type)))
            elif field.type == field.TYPE_BYTES:
                self._payloads.append(item.name)
            else:
                self._scalars.append(item.name)

    def read(self, message: Any) -> Any:
        """Return the record; a field that is not set has its default."""
        found = {name: value for name in self._scalars if (value := getattr(message, name))}
        for name in self._payloads:
            if value := getattr(message, name):
                found[name] = _payload(name, value)
        for name, read in self._inner:
            if (value := read(message, name)) is not None:
                found[name] = value
        return self._make(found)


def _inner_reader(descriptor: Any) -> Callable[[Any, str], Any]:
    """Return what reads a field that is a message or a map, given the message around it."""
    if descriptor.GetOptions().map_entry:
        item = descriptor.fields_by_name["value"].message_type
        if item is None:
            return lambda message, name: dict(getattr(message, name))
        read_item = _Reader(_INNER[item.name], item).read
        return lambda message, name: {
            key: read_item(value) for key, value in getattr(message, name).items()
        }
    record = _INNER.get(descriptor.name)
    if record is None:
        return lambda message, name: message.HasField(name) or None
    read = _Reader(record, descriptor).read
    return lambda message, name: read(getattr(message, name)) if message.HasField(name) else None


def _payload(name: str, data: bytes) -> Payload:
    """Return the payload of a client: JSON if it is that, so that JSON clients can read it."""
    try:
        return Payload("json" if is_json(data) else "binary", data)
    except ValueError:  # what clients of the JSON encoding could not be sent
        raise Violation(f"{name} is nested too deeply") from None


_FIELDS = pb.Command.DESCRIPTOR.fields_by_name
_READERS = {
    method: _Reader(record, _FIELDS[method].message_type) for method, record in REQUESTS.items()
}


def _fill(message: Any, content: Mapping[str, Any]) -> Any:
    for name, value in content.items():
        field = getattr(message, name)
        if isinstance(value, Mapping) and hasattr(field, "SetInParent"):
            field.SetInParent()
            _fill(field, value)
        elif isinstance(value, Mapping):
            _fill_map(field, value)
        elif isinstance(value, EncodedPublications):
            field.extend(value.content)
        elif isinstance(value, list):
            for item in value:
                _fill(field.add(), _publication(item))
        elif isinstance(value, ClientInfo):
            _fill(field, _client_info(value))
        elif isinstance(value, Publication):
            _fill(field, _publication(value))
        else:
            setattr(message, name, _bytes(value) if isinstance(value, Payload) else value)
    return message


def _fill_map(field: Any, content: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if isinstance(value, str):
            field[key] = value
        else:
            field[key].SetInParent()
            _fill(field[key], _client_info(value) if isinstance(value, ClientInfo) else value)


def _publication(publication: Publication) -> dict[str, Any]:
    return {"data": publication.payload} | sparse(
        offset=publication.offset, tags=publication.tags, info=publication.info
    )


def _client_info(info: ClientInfo) -> dict[str, Any]:
    conn_info = None if info.conn_info is None else orjson.dumps(info.conn_info)
    chan_info = None if info.chan_info is None else orjson.dumps(info.chan_info)
    return sparse(user=info.user, client=info.client, conn_info=conn_info, chan_info=chan_info)


def _bytes(payload: Payload) -> bytes:
    """Return a payload as bytes; text is JSON, so that SDKs read both encodings alike."""
    return orjson.dumps(payload.data.decode()) if payload.kind == "text" else payload.data


CODEC = SdkCodec(ProtobufEncoding())
