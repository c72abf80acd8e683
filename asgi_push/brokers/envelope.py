"""Publications and notices as bytes, which are parsed with little work. Payloads stay unread.

A message is ``offset:epoch:body``. In no stream the offset is 0, and in place of the epoch stands a
mark by which whoever published it knows it again. A body is the time, a letter for its kind, the
length of what stands beside the payload (JSON, mostly nothing) in decimal digits, a colon, that,
and the payload. A stream keeps only bodies.

The time is a Unix time in milliseconds, which has 13 digits until the year 2286. The broker puts it
before the rest. It may be missing.
"""

import logging
from dataclasses import asdict
from typing import Any, Final

import orjson

from .. import clock
from ..logs import module_rate_limit, printable
from ..messages import ClientInfo, JoinLeave, Kind, Payload, Publication

_LETTERS: Final[dict[Kind, bytes]] = {"text": b"t", "binary": b"b", "json": b"j"}
_KINDS: Final[dict[int, Kind]] = {letter[0]: kind for kind, letter in _LETTERS.items()}
_JOINED = b"+"
_LEFT = b"-"

# At most one line in so many seconds, of all that is no publication.
_quiet = module_rate_limit(10.0)

# In no stream.
_NOWHERE = b"0::"

_TIME_DIGITS = 13

# What none of these is becomes nothing: the item is left out, and said.
_WRONG = ValueError, LookupError, TypeError, AttributeError


def body(publication: Publication) -> bytes:
    """Return what is kept of a publication, but for the time."""
    beside = b""
    if publication.trace is not None or publication.awaited_by is not None:
        untold = {"trace": publication.trace, "awaited_by": publication.awaited_by}
        beside = orjson.dumps({**_told(publication), **untold})
    elif publication.tags is not None or publication.info is not None:
        beside = orjson.dumps(_told(publication))
    return b"%b%d:%b%b" % (
        _LETTERS[publication.payload.kind],
        len(beside),
        beside,
        publication.payload.data,
    )


def _told(publication: Publication) -> dict[str, Any]:
    """Return what is told to clients beside the payload."""
    info = None if publication.info is None else asdict(publication.info)
    return {"tags": publication.tags, "info": info}


def transient(publication: Publication, mark: str = "") -> bytes:
    """Return the message of a publication that is in no stream, with the time of its publisher."""
    milliseconds = int(clock.now() * 1000)
    return b"0:%b:%013d%b" % (mark.encode(), milliseconds, body(publication))


def join_leave(told: JoinLeave) -> bytes:
    """Return the message of a notice."""
    beside = orjson.dumps({"info": asdict(told.info)})
    return b"%b%b%d:%b" % (_NOWHERE, _JOINED if told.joined else _LEFT, len(beside), beside)


def parse(channel: str, message: bytes) -> Publication | JoinLeave | None:
    """Return what a message is; None, and a line in the log, if somebody else put it there."""
    try:
        offset, epoch, rest = message.split(b":", 2)
        place = int(offset), epoch.decode()
        if place[0] < 0:
            raise ValueError
    except ValueError:
        _say_foreign(channel)
        return None
    return parse_body(channel, rest, place[0], place[1] if place[0] else "")


def mark_of(message: bytes) -> str:
    """Return the mark of a message that is in no stream, else nothing."""
    mark = message.split(b":", 2)[1] if message.startswith(b"0:") else b""
    return mark.decode(errors="replace")  # somebody else may have put it there


def parse_body(
    channel: str, kept: bytes, offset: int, epoch: str
) -> Publication | JoinLeave | None:
    """Return what a body is, at its place; None as ``parse`` does."""
    try:
        return _parse_body(channel, kept, offset, epoch)
    except _WRONG:
        _say_foreign(channel)
        return None


def _say_foreign(channel: str) -> None:
    message = "the broker has something in channel %s that is no publication"
    _quiet.log(logging.ERROR, clock.monotonic(), message, printable(channel))


def _parse_body(channel: str, kept: bytes, offset: int, epoch: str) -> Publication | JoinLeave:
    colon = kept.index(b":")
    at = _TIME_DIGITS if kept[:1].isdigit() else 0
    time = int(kept[:at]) / 1000 if at else None
    length = kept[at + 1 : colon]
    if not length.isdigit():
        raise ValueError(length)
    start = colon + 1 + int(length)
    beside: dict[str, Any] = orjson.loads(kept[colon + 1 : start]) if start > colon + 1 else {}
    info = ClientInfo(**beside["info"]) if beside.get("info") is not None else None
    letter = kept[at : at + 1]
    if info is not None and letter in (_JOINED, _LEFT):
        return JoinLeave(channel, info, joined=letter == _JOINED)
    tags = beside.get("tags")
    payload = Payload(_KINDS[kept[at]], kept[start:])
    if not isinstance(tags, dict | None):
        raise TypeError(tags)
    if payload.kind == "text" and not payload.data.isascii():
        payload.data.decode()
    publication = Publication(channel, payload, offset, epoch, tags, info, time)
    if beside:
        _add_untold(publication, beside)
    return publication


def _add_untold(publication: Publication, beside: dict[str, Any]) -> None:
    trace = beside.get("trace")
    if isinstance(trace, str):
        publication.trace = trace
    awaited_by = beside.get("awaited_by")
    if awaited_by in ("publisher", "inbox"):
        publication.awaited_by = awaited_by
