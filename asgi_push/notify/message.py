"""What a person is told of a publication."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson

from ..messages import Publication


class Message(NamedTuple):
    """What a person reads: a text, and perhaps a title and the address of a page to open."""

    body: str
    title: str = ""
    url: str = ""


MakeMessage = Callable[[str, Publication], Awaitable[Message] | Message]


def default_message(user: str, publication: Publication) -> Message:
    """Return what the data of a publication says by itself.

    A str is the text. An object may have the keys of ``Message``: "body", "title", "url". Any other
    data is shown as JSON, and bytes by their number.
    """
    data = publication.data
    if isinstance(data, str):
        return Message(data)
    if isinstance(data, bytes):
        return Message(f"A message of {len(data)} bytes.")
    if isinstance(data, Mapping) and isinstance(data.get("body"), str):
        return Message(data["body"], _text(data.get("title")), _text(data.get("url")))
    return Message(publication.payload.data.decode())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def checked(message: Any) -> Message:
    """Return what the application made of a publication.

    Raises:
        ValueError: it is no ``Message`` of texts with a body.
    """
    if not isinstance(message, Message) or not all(isinstance(part, str) for part in message):
        raise ValueError(f"message: must return a Message of texts, not {type(message).__name__}")
    if not message.body.strip():
        raise ValueError("message: the body of a Message must not be empty")
    return message


def as_json(message: Message, most: int) -> bytes:
    """Return a message as JSON of at most ``most`` bytes; its body is shortened to that.

    Raises:
        ValueError: the title and the address alone are longer.
    """
    if len(encoded := _encode(message)) <= most:
        return encoded
    if len(_encode(message._replace(body="…"))) > most:
        raise ValueError(f"message: the title and the url have more than {most} bytes")

    def size(characters: int) -> int:
        return len(_encode(_shortened(message, characters)))

    fit = bisect_right(range(min(len(message.body), most)), most, key=size) - 1
    return _encode(_shortened(message, fit))


def _shortened(message: Message, characters: int) -> Message:
    return message._replace(body=message.body[:characters] + "…")


def _encode(message: Message) -> bytes:
    return orjson.dumps(message._asdict())
