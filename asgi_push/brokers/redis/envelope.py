"""Publications and notices as bytes, to be parsed with little work; the payload is never looked into.

A message is ``offset:epoch:body``. A body is a letter for its kind, the length of what stands beside the payload (JSON,
mostly nothing) in decimal digits, a colon, that, and the payload. In a stream only bodies are kept.
"""

from dataclasses import asdict
from typing import Any, Final

import orjson

from ...messages import ClientInfo, Kind, Notice, Payload, Publication

_LETTERS: Final[dict[Kind, bytes]] = {"text": b"t", "binary": b"b", "json": b"j"}
_KINDS: Final[dict[int, Kind]] = {letter[0]: kind for kind, letter in _LETTERS.items()}
_JOINED, _LEFT = b"+", b"-"

# In no stream.
_NOWHERE = b"0::"


def body(publication: Publication) -> bytes:
    """Return what is kept of a publication."""
    beside = b""
    if publication.tags is not None or publication.info is not None:
        info = None if publication.info is None else asdict(publication.info)
        beside = orjson.dumps({"tags": publication.tags, "info": info})
    return b"%b%d:%b%b" % (_LETTERS[publication.payload.kind], len(beside), beside, publication.payload.data)


def loose(publication: Publication) -> bytes:
    """Return the message of a publication that is in no stream."""
    return _NOWHERE + body(publication)


def notice(told: Notice) -> bytes:
    """Return the message of a notice."""
    beside = orjson.dumps({"info": asdict(told.info)})
    return b"%b%b%d:%b" % (_NOWHERE, _JOINED if told.joined else _LEFT, len(beside), beside)


def parse(channel: str, message: bytes) -> Publication | Notice:
    """Return what a message is."""
    offset, epoch, rest = message.split(b":", 2)
    return parse_body(channel, rest, int(offset), epoch.decode())


def parse_body(channel: str, kept: bytes, offset: int, epoch: str) -> Publication | Notice:
    """Return what a body is, at its place."""
    colon = kept.index(b":")
    start = colon + 1 + int(kept[1:colon])
    beside: dict[str, Any] = orjson.loads(kept[colon + 1 : start]) if start > colon + 1 else {}
    info = ClientInfo(**beside["info"]) if beside.get("info") is not None else None
    letter = kept[:1]
    if info is not None and letter in (_JOINED, _LEFT):
        return Notice(channel, info, joined=letter == _JOINED)
    return Publication(channel, Payload(_KINDS[kept[0]], kept[start:]), offset, epoch, beside.get("tags"), info)
