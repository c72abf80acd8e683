"""The lists and what opens behind a row, looked up in pieces: no piece holds the event loop for long."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import orjson

from ... import clock
from ...errors import BrokerError
from ...hub.hub import Hub
from ...messages import Publication
from ...names import USER_PREFIX
from ...session import Session
from ..session_summary import summarize
from .requests import PAGE, View

T = TypeVar("T")

# What is looked at before everything else gets its turn: about a millisecond's worth.
_PIECE = 1000

# Shown of a channel and of a session; their bounds are ours, not those of what is shown.
_PUBLICATIONS, _CHANNELS, _TEXT = 20, 100, 1000

# How long a broker may take to show a channel's history, in seconds.
_PATIENCE = 2.0


async def _page(items: Sequence[T], wanted: Callable[[T], bool], key: Callable[[T], Any] | None, page: int) -> Any:
    """Return one page of those that are wanted, in the order of their keys or in their own, and how many there are."""
    end, count, best = (page + 1) * PAGE, 0, list[T]()
    for piece in _pieces(items):
        found = [item for item in piece if wanted(item)]
        count += len(found)
        if key is not None:
            best = heapq.nsmallest(end, chain(best, found), key=key)
        elif len(best) < end:
            best += found
        await anyio.lowlevel.checkpoint()
    return best[page * PAGE : end], count


def _pieces(items: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while piece := list(islice(rest, _PIECE)):
        yield piece


# -- sessions ---------------------------------------------------------------------------------------------------------

_KEYS: dict[str, Callable[[Session], Any] | None] = {
    "newest": None,
    "oldest": None,
    "queue": lambda session: -(session.queue.bytes if session.queue is not None else 0),
    "silent": lambda session: session.last_seen,
    "round_trip": lambda session: -(session.heartbeat.round_trip or 0.0),
    "user": lambda session: session.user,
}


async def list_sessions(hub: Hub, view: View) -> dict[str, Any]:
    """Return a page of sessions: those that a search finds, or those in a channel."""
    sessions = list(hub.registry.members(view.channel)) if view.channel else hub.registry.sessions()
    if view.sort == "newest":
        sessions.reverse()
    found, count = await _page(sessions, _finds(view.search.strip().lower()), _KEYS[view.sort], view.page)
    now = clock.monotonic()
    return {"rows": [_row(session, now) for session in found], "count": count, "of": len(hub.registry)}


def _finds(search: str) -> Callable[[Session], bool]:
    """Return whether a search finds a session: by a part of its user, id, address or protocol."""
    if not search:
        return lambda session: True

    def find(session: Session) -> bool:
        return (
            search in session.user.lower()
            or search in session.id.lower()
            or search in session.protocol
            or search in session.transport
            or (session.remote is not None and search in _address(session.remote))
        )

    return find


def _address(remote: tuple[str, int] | None) -> str:
    return "" if remote is None else f"{remote[0]}:{remote[1]}"


def _row(session: Session, now: float) -> dict[str, Any]:
    found = summarize(session, now)
    return {
        "id": found.id,
        "user": found.user,
        "protocol": found.protocol,
        "transport": found.transport,
        "remote": _address(found.remote),
        "age": round(found.age, 1),
        "silent": round(found.silent, 1),
        "round_trip": None if found.round_trip is None else round(found.round_trip * 1e3, 1),
        "queue_bytes": found.queue_bytes,
        "queue_messages": found.queue_messages,
        "dropped": found.dropped,
        "channels": len(found.channels),
    }


def show_session(hub: Hub, session_id: str) -> dict[str, Any]:
    """Return all that there is to see of one session; of one that is not here, its id."""
    session = hub.registry.get(session_id)
    if session is None:
        return {"id": session_id, "gone": True}
    known = {"info": session.info, "path_params": dict(session.path_params)}
    return _row(session, clock.monotonic()) | {
        "known": {name: _text(value) for name, value in known.items() if value},
        "names": session.channels[:_CHANNELS],
    }


def _text(value: Any) -> str:
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()[:_TEXT]


# -- channels ---------------------------------------------------------------------------------------------------------


async def list_channels(hub: Hub, view: View) -> dict[str, Any]:
    """Return a page of the channels that have sessions here."""
    registry, search = hub.registry, view.search.strip().lower()

    def wanted(name: str) -> bool:
        return (view.own or not name.startswith(USER_PREFIX)) and search in name.lower()

    def most(name: str) -> Any:
        return -len(registry.members(name)), name

    found, count = await _page(registry.channels(), wanted, most if view.order == "sessions" else str, view.page)
    return {"rows": [_channel(hub, name) for name in found], "count": count, "of": registry.channel_count}


def _channel(hub: Hub, name: str) -> dict[str, Any]:
    stream = hub.namespaces.stream(name)
    return {
        "name": name,
        "sessions": len(hub.registry.members(name)),
        "history": None if stream is None else {"size": stream.size, "ttl": stream.ttl},
    }


async def show_channel(hub: Hub, name: str) -> dict[str, Any]:
    """Return all that there is to see of one channel: its last publications, or why they are not to be had."""
    shown = _channel(hub, name)
    if shown["history"] is None:
        return shown
    history = None
    try:
        with anyio.move_on_after(_PATIENCE):
            history = await hub.broker.history(name, _PUBLICATIONS, None, True)
    except BrokerError as error:
        return shown | {"error": f"the broker did not answer: {error}"}
    if history is None:
        return shown | {"error": f"the broker has not answered for {_PATIENCE:g} s"}
    offset, epoch = history.position
    return shown | {
        "offset": offset,
        "epoch": epoch,
        "publications": [_publication(item) for item in history.publications],
    }


def _publication(publication: Publication) -> dict[str, Any]:
    payload = publication.payload
    size = len(payload.data)
    text = f"{size} bytes" if payload.kind == "binary" else payload.data[: 4 * _TEXT].decode(errors="ignore")[:_TEXT]
    return {
        "offset": publication.offset,
        "kind": payload.kind,
        "size": size,
        "text": text,
        "cut": payload.kind != "binary" and len(text.encode()) < size,
        "tags": {str(name): str(tag) for name, tag in (publication.tags or {}).items()},
        "by": publication.info.user if publication.info is not None else None,
    }
