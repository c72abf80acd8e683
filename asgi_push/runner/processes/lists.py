"""Pages of the sessions and of the channels of this process.

Sessions and channels are looked through in pieces, so that none holds the event loop for long.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import anyio.lowlevel
import orjson

from ... import clock
from ...connection import Connection
from ...hub.hub import Hub
from ...names import USER_PREFIX
from .session_summary import SessionSummary, summarize
from .view import View

T = TypeVar("T")

# Items that are looked at before everything else gets its turn: about a millisecond's worth.
_PIECE = 1000

# The most that is shown of a session: its channels, and characters of a text.
_CHANNELS = 100
_TEXT = 1000


async def _span(
    items: Sequence[T],
    wanted: Callable[[T], bool],
    key: Callable[[T], Any] | None,
    rows: range,
) -> tuple[list[T], int]:
    """Return some of the items that are wanted, by their places, and how many are wanted.

    They are sorted by ``key``, or keep their order if it is None.
    """
    count = 0
    best: list[T] = []
    for piece in _pieces(items):
        found = [item for item in piece if wanted(item)]
        count += len(found)
        if key is not None:
            best = heapq.nsmallest(rows.stop, chain(best, found), key=key)
        elif len(best) < rows.stop:
            best += found
        await anyio.lowlevel.checkpoint()
    return best[rows.start : rows.stop], count


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


async def list_sessions(hub: Hub, view: View, rows: range) -> dict[str, Any]:
    """Return some of the sessions that a search finds, of all or of those in a channel."""
    registry = hub.registry
    sessions = list(registry.members(view.channel)) if view.channel else registry.sessions()
    if view.sort == "newest":
        sessions.reverse()
    wanted = _matches(view.search.strip().lower())
    found, count = await _span(sessions, wanted, _KEYS[view.sort], rows)
    now = clock.monotonic()
    listed = [_row(summarize(session, now)) for session in found]
    return {"rows": listed, "count": count, "of": len(registry)}


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
            or (session.remote is not None and search in address(session.remote))
        )

    return match


def address(remote: tuple[str, int] | None) -> str:
    """Return where a client is, as people write it; empty where the server does not say it.

    Behind a proxy that names the client there is no port: servers then say 0.
    """
    if remote is None:
        return ""
    host, port = remote
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _row(found: SessionSummary) -> dict[str, Any]:
    round_trip = found.round_trip
    return {
        "id": found.id,
        "user": found.user,
        "protocol": found.protocol,
        "transport": found.transport,
        "writes": found.writes,
        "remote": address(found.remote),
        "age": round(found.age, 1),
        "silent": round(found.silent, 1),
        "round_trip": None if round_trip is None else round(round_trip * 1e3, 1),
        "queue_bytes": found.queue_bytes,
        "queue_messages": found.queue_messages,
        "dropped": found.dropped,
        "channels": len(found.channels),
    }


def show_session(hub: Hub, session_id: str) -> dict[str, Any] | None:
    """Return what is shown of one session, None if it is not in this process."""
    session = hub.registry.get(session_id)
    if session is None:
        return None
    known = {"info": session.info, "path_params": dict(session.path_params)}
    return _row(summarize(session, clock.monotonic())) | {
        "known": {name: _text(value) for name, value in known.items() if value},
        "names": session.channels[:_CHANNELS],
    }


def _text(value: Any) -> str:
    return orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()[:_TEXT]


# -- channels --------------------------------------------------------------------------------------


async def list_channels(hub: Hub, view: View, rows: range) -> dict[str, Any]:
    """Return some of the channels that have sessions in this process."""
    registry = hub.registry
    search = view.search.strip().lower()

    def wanted(name: str) -> bool:
        return (view.own or not name.startswith(USER_PREFIX)) and search in name.lower()

    def most_sessions_first(name: str) -> Any:
        return -len(registry.members(name)), name

    key = most_sessions_first if view.order == "sessions" else str
    found, count = await _span(registry.channels(), wanted, key, rows)
    listed = [describe_channel(hub, name) for name in found]
    return {"rows": listed, "count": count, "of": registry.channel_count}


def describe_channel(hub: Hub, name: str) -> dict[str, Any]:
    """Return a channel's sessions in this process, and what it keeps."""
    stream = hub.namespaces.stream(name)
    return {
        "name": name,
        "sessions": len(hub.registry.members(name)),
        "history": None if stream is None else {"size": stream.size, "ttl": stream.ttl},
    }
