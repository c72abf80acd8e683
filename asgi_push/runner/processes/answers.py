"""What this process answers to questions about itself; ``hub.processes`` puts them.

An answer is bounded, as one process can tell another only so much: see ``MAX_TOLD_BYTES``.
"""

import os
import platform
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import orjson

from ... import clock
from ...connection import Connection
from ...errors import BrokerError
from ...hub.hub import Hub
from ...hub.processes import tell_answer
from ...logs import logger
from .lists import list_channels, list_sessions, show_session
from .package_version import package_version
from .session_summary import summarize
from .view import MAX_MERGED_ROW, PAGE, VIEW, View

Fields = Mapping[str, Any]
Found = dict[str, Any]

# The most of one answer, in bytes: rows of a console's list, or sessions with their channels; and
# samples, of which one is about 500 bytes. The rest comes with the next answer.
_MAX_ROWS = 96 * 1024
_MAX_SESSIONS = 160 * 1024
_MAX_SAMPLES = 120

# Channels of each process in the list of all: a sum over processes needs those of each.
_CHANNELS = 300


async def look(hub: Hub, command: Mapping[str, Any]) -> bytes | None:
    """Begin to answer a question; return this process's id, None if it is not asked.

    Nor is it if it does not know the question, as whoever asks runs a newer version.
    """
    answer = _ANSWERS.get(command["about"])
    if answer is None or (command["to"] is not None and hub.id not in command["to"]):
        return None
    hub.spawn(_tell, hub, answer, command)
    return hub.id.encode()


async def _tell(
    hub: Hub, answer: Callable[[Hub, Fields], Awaitable[Found]], command: Mapping[str, Any]
) -> None:
    found = orjson.dumps(await answer(hub, command["fields"]))
    try:
        await tell_answer(hub.broker, command["reply_to"], command["number"], hub.id, found)
    except BrokerError as error:  # whoever asked sees that this process is silent
        logger.debug("a question of a process could not be answered: %s", error)


def summarize_process(hub: Hub) -> Found:
    """Return which process this is, and how it does."""
    return {
        "id": hub.id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": package_version(),
        "python": platform.python_version(),
        "uptime": round(clock.monotonic() - hub.started_at, 1),
        "sessions": len(hub.registry),
        "accepting": hub.accepting,
        "broker_up": hub.broker.connected,
    }


async def _summary(hub: Hub, fields: Fields) -> Found:
    return summarize_process(hub)


async def _info(hub: Hub, fields: Fields) -> Found:
    counts = await hub.threads.lookups.run(_counts, hub)
    return summarize_process(hub) | cast(Found, counts)


def _counts(hub: Hub) -> Found:
    users = {session.user for session in hub.registry.sessions()}
    channels = hub.registry.channels()
    subscriptions = sum(len(hub.registry.members(channel)) for channel in channels)
    return {"users": len(users), "channels": len(channels), "subscriptions": subscriptions}


# -- for consoles ----------------------------------------------------------------------------------


async def _state(hub: Hub, fields: Fields) -> Found:
    return await show_state(hub, VIEW.decode(fields["view"]), fields["seen"].get(hub.id, 0))


async def show_state(hub: Hub, view: View, seen: int) -> Found:
    """Return what a console shows of this process: rows for its list, and new samples.

    ``seen`` is the number of the last sample that it has.
    """
    began = clock.monotonic()
    samples = hub.samples.since(seen)
    later = max(0, len(samples) - _MAX_SAMPLES)
    found = summarize_process(hub)
    found["samples"] = [orjson.Fragment(sample) for sample in samples[:_MAX_SAMPLES]]
    found["seen"] = hub.samples.count - later
    found["more"] = later > 0
    if view.process in ("", hub.id):
        found["listed"] = await _listed(hub, view)
    if view.open_session:
        found["session"] = show_session(hub, view.open_session)
    if view.open_channel:
        found["members"] = len(hub.registry.members(view.open_channel))
    found["cost"] = clock.monotonic() - began
    return found


async def _listed(hub: Hub, view: View) -> Found:
    first = view.page * PAGE
    if view.list == "sessions":
        together = range(min(first + PAGE, MAX_MERGED_ROW))
        list_view = list_sessions
    else:
        together = range(_CHANNELS)
        list_view = list_channels
    listed = await list_view(hub, view, range(first, first + PAGE) if view.process else together)
    return listed | {"rows": _fitting(listed["rows"], _MAX_ROWS), "paged": bool(view.process)}


def _fitting(rows: Sequence[Found], most: int) -> list[orjson.Fragment]:
    """Return the first of some rows, as JSON of so many bytes at most."""
    fitting = []
    size = 0
    for row in rows:
        encoded = orjson.dumps(row)
        size += len(encoded) + 1
        if size > most:
            break
        fitting.append(orjson.Fragment(encoded))
    return fitting


# -- for the HTTP API ------------------------------------------------------------------------------


async def _sessions(hub: Hub, fields: Fields) -> Found:
    """Answer a page of the sessions of a user, of a channel or of all, the oldest first.

    It begins after the place that the answer before it ended at, which is ``next`` there.
    """
    after = fields["after"].get(hub.id)
    arguments = (fields["user"], fields["channel"], fields["limit"], after)
    found = await hub.threads.lookups.run(_page_of_sessions, hub, *arguments)
    return summarize_process(hub) | cast(Found, found)


def _page_of_sessions(
    hub: Hub, user: str | None, channel: str | None, limit: int, after: list[Any] | None
) -> Found:
    sessions = sorted(hub.registry.find(user, channel), key=_place)
    begun = [session for session in sessions if after is None or _place(session) > after]
    now = clock.monotonic()
    rows = _fitting([describe_session(session, now) for session in begun[:limit]], _MAX_SESSIONS)
    ended = len(rows) == len(begun) or not rows
    following = None if ended else _place(begun[len(rows) - 1])
    return {"rows": rows, "count": len(sessions), "next": following}


def _place(session: Connection) -> list[Any]:
    return [session.connected_at, session.id]


def describe_session(session: Connection, now: float) -> Found:
    """Return a session as the HTTP API shows it."""
    found = summarize(session, now)
    return {
        "client": found.id,
        "user": found.user,
        "protocol": found.protocol,
        "transport": found.transport,
        "remote": None if found.remote is None else found.remote[0],
        "connected": round(found.age, 3),
        "seen": round(found.silent, 3),
        "channels": found.channels,
        "queued": found.queue_messages,
        "dropped": found.dropped,
    }


_ANSWERS: dict[str, Callable[[Hub, Fields], Awaitable[Found]]] = {
    "summary": _summary,
    "info": _info,
    "state": _state,
    "sessions": _sessions,
}
