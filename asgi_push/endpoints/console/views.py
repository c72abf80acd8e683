"""The lists, and what opens behind a row.

Sessions and channels are looked through in pieces, so that none holds the event loop for long.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import orjson

from ... import clock
from ...connection import Connection
from ...errors import BrokerError
from ...hub.hub import Hub
from ...messages import History, Publication
from ...names import USER_PREFIX
from ..session_summary import summarize
from .requests import PAGE, View

T = TypeVar("T")

# Items that are looked at before everything else gets its turn: about a millisecond's worth.
_PIECE = 1000

# The most that is shown: publications of a channel, channels of a session, characters of a text.
_PUBLICATIONS = 20
_CHANNELS = 100
_TEXT = 1000

# How long a broker may take to return a channel's history, in seconds.
_PATIENCE = 2.0


async def _page(
    items: Sequence[T],
    wanted: Callable[[T], bool],
    key: Callable[[T], Any] | None,
    page: int,
) -> tuple[list[T], int]:
    """Return one page of the items that are wanted, and how many are.

    They are sorted by ``key``, or keep their order if it is None.
    """
    end = (page + 1) * PAGE
    count = 0
    best: list[T] = []
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


# -- sessions --------------------------------------------------------------------------------------

_KEYS: dict[str, Callable[[Connection], Any] | None] = {
    "newest": None,
    "oldest": None,
    "queue": lambda session: -(session.queue.bytes if session.queue is not None else 0),
    "silent": lambda session: session.last_seen,
    "round_trip": lambda session: -(session.heartbeat.round_trip or 0.0),
    "user": lambda session: session.user,
}


async def list_sessions(hub: Hub, view: View) -> dict[str, Any]:
    """Return a page of the sessions that a search finds, of all or of those in a channel."""
    registry = hub.registry
    sessions = list(registry.members(view.channel)) if view.channel else registry.sessions()
    if view.sort == "newest":
        sessions.reverse()
    wanted = _matches(view.search.strip().lower())
    found, count = await _page(sessions, wanted, _KEYS[view.sort], view.page)
    now = clock.monotonic()
    return {"rows": [_row(session, now) for session in found], "count": count, "of": len(registry)}


def _matches(search: str) -> Callable[[Connection], bool]:
    """Return what tells whether a session's user, id, address, protocol or transport has a text."""
    if not search:
        return lambda session: True

    def match(session: Connection) -> bool:
        return (
            search in session.user.lower()
            or search in session.id.lower()
            or search in session.protocol
            or search in session.transport
            or (session.remote is not None and search in _address(session.remote))
        )

    return match


def _address(remote: tuple[str, int] | None) -> str:
    return "" if remote is None else f"{remote[0]}:{remote[1]}"


def _row(session: Connection, now: float) -> dict[str, Any]:
    found = summarize(session, now)
    round_trip = found.round_trip
    return {
        "id": found.id,
        "user": found.user,
        "protocol": found.protocol,
        "transport": found.transport,
        "writes": found.writes,
        "remote": _address(found.remote),
        "age": round(found.age, 1),
        "silent": round(found.silent, 1),
        "round_trip": None if round_trip is None else round(round_trip * 1e3, 1),
        "queue_bytes": found.queue_bytes,
        "queue_messages": found.queue_messages,
        "dropped": found.dropped,
        "channels": len(found.channels),
    }


def show_session(hub: Hub, session_id: str) -> dict[str, Any]:
    """Return what is shown of one session; of one that is not here any more, its id."""
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


# -- channels --------------------------------------------------------------------------------------


async def list_channels(hub: Hub, view: View) -> dict[str, Any]:
    """Return a page of the channels that have sessions in this process."""
    registry = hub.registry
    search = view.search.strip().lower()

    def wanted(name: str) -> bool:
        return (view.own or not name.startswith(USER_PREFIX)) and search in name.lower()

    def most_sessions_first(name: str) -> Any:
        return -len(registry.members(name)), name

    key = most_sessions_first if view.order == "sessions" else str
    found, count = await _page(registry.channels(), wanted, key, view.page)
    rows = [_channel(hub, name) for name in found]
    return {"rows": rows, "count": count, "of": registry.channel_count}


def _channel(hub: Hub, name: str) -> dict[str, Any]:
    stream = hub.namespaces.stream(name)
    return {
        "name": name,
        "sessions": len(hub.registry.members(name)),
        "history": None if stream is None else {"size": stream.size, "ttl": stream.ttl},
    }


async def show_channel(hub: Hub, name: str) -> dict[str, Any]:
    """Return what is shown of one channel: its last publications, or why they cannot be shown."""
    shown = _channel(hub, name)
    if shown["history"] is None:
        return shown
    try:
        history = await _history(hub, name)
    except BrokerError as error:
        return shown | {"error": f"the broker did not answer: {error}"}
    if history is None:
        return shown | {"error": f"the broker has not answered for {_PATIENCE:g} s"}
    return shown | {
        "offset": history.position.offset,
        "epoch": history.position.epoch,
        "id": history.id,
        "publications": [_publication(item) for item in history.publications],
    }


async def _history(hub: Hub, name: str) -> History | None:
    """Return the last publications of a channel, None if the broker takes too long."""
    with anyio.move_on_after(_PATIENCE):
        return await hub.broker.history(name, _PUBLICATIONS, None, True)
    return None


def _publication(publication: Publication) -> dict[str, Any]:
    payload = publication.payload
    size = len(payload.data)
    if payload.kind == "binary":
        text = f"{size} bytes"
        cut = False
    else:
        text = payload.data[: 4 * _TEXT].decode(errors="ignore")[:_TEXT]
        cut = len(text.encode()) < size
    return {
        "offset": publication.offset,
        "time": publication.time,
        "kind": payload.kind,
        "size": size,
        "text": text,
        "cut": cut,
        "tags": {str(name): str(tag) for name, tag in (publication.tags or {}).items()},
        "by": publication.info.user if publication.info is not None else None,
    }
