"""What operators see over HTTP: the processes that share a broker, and their sessions."""

from collections.abc import Mapping
from typing import Any

from ...core import Core
from ...hub.processes import Answers
from ...names import check_channel, check_user
from .fields import InfoFields, SessionsFields

Result = Mapping[str, Any]

# Sessions in one answer: how many without a limit, and the largest limit.
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 10_000


async def info(core: Core, fields: InfoFields) -> Result:
    """Return how many sessions, users and channels each process has."""
    answers = await core.hub.processes.ask("info")
    nodes = [_node(found) | _counts(found) for found in _by_name(answers)]
    return {"nodes": nodes, "complete": answers.complete}


def _by_name(answers: Answers) -> list[Mapping[str, Any]]:
    found = answers.found.values()
    return sorted(found, key=lambda process: (process["host"], process["pid"], process["id"]))


def _node(process: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uid": process["id"],
        "name": f"{process['host']}_{process['pid']}",
        "version": process["version"],
        "num_clients": process["sessions"],
        "uptime": int(process["uptime"]),
        "accepting": process["accepting"],
    }


def _counts(process: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_users": process["users"],
        "num_subs": process["subscriptions"],
        "num_channels": process["channels"],
    }


async def sessions(core: Core, fields: SessionsFields) -> Result:
    """Return sessions, the oldest first, of all processes or of one: all, a user's, a channel's."""
    if not 0 <= fields.limit <= _MAX_LIMIT:
        raise ValueError(f"limit: must be from 0 to {_MAX_LIMIT}")
    limit = fields.limit or _DEFAULT_LIMIT
    question: dict[str, Any] = {
        "user": check_user(fields.user) if fields.user else None,
        "channel": check_channel(fields.channel) if fields.channel else None,
    }
    listed, first = await _ask_for_sessions(core, fields.process, limit, question)
    listed.sort(key=lambda session: -session["connected"])
    processes = _by_name(first)
    return {
        "sessions": listed[:limit],
        "num_clients": sum(process["count"] for process in processes),
        "processes": [_node(process) for process in processes],
        "complete": first.complete,
    }


async def _ask_for_sessions(
    core: Core, process: str, limit: int, question: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], Answers]:
    """Return up to ``limit`` sessions of each process, page by page, and the first answers."""
    listed: list[dict[str, Any]] = []
    left: dict[str, int] = {}
    after: dict[str, Any] = {}
    first: Answers | None = None
    to = [process] if process else None
    while first is None or after:
        fields = {**question, "limit": limit, "after": after}
        answers = await core.hub.processes.ask("sessions", to, **fields)
        first = first or answers
        after = {}
        for name, found in answers.found.items():
            listed += [{**row, "process": name} for row in found["rows"]]
            left[name] = left.get(name, limit) - len(found["rows"])
            if found["next"] is not None and left[name] > 0:
                after[name] = found["next"]
        to = list(after)
    if process and not first.found and first.complete:
        raise ValueError(f"process: there is no process {process!r:.80}")
    return listed, first
