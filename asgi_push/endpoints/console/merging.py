"""One list of what several processes listed. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from ...runner.processes.view import MAX_MERGED_ROW, PAGE, View

Listed = Mapping[str, Any]
Row = dict[str, Any]

# By what the sessions of all processes are sorted: the same as those of one.
_KEYS: dict[str, Callable[[Row], Any]] = {
    "newest": lambda row: row["age"],
    "oldest": lambda row: -row["age"],
    "queue": lambda row: -row["queue_bytes"],
    "silent": lambda row: -row["silent"],
    "round_trip": lambda row: -(row["round_trip"] or 0.0),
    "user": lambda row: row["user"],
}


def merge_sessions(listed: Mapping[str, Listed], view: View) -> dict[str, Any]:
    """Return the page of sessions that a console shows, of lists by the id of their process.

    ``last`` is how far can be paged: to that row.
    """
    rows = [{**row, "process": name} for name, one in listed.items() for row in one["rows"]]
    count = sum(one["count"] for one in listed.values())
    of = sum(one["of"] for one in listed.values())
    if _is_one(listed):
        return {"rows": rows, "count": count, "of": of, "last": count}
    rows.sort(key=_KEYS[view.sort])
    last = min(count, MAX_MERGED_ROW)
    return {"rows": _page(rows[:last], view), "count": count, "of": of, "last": last}


def merge_channels(listed: Mapping[str, Listed], view: View) -> dict[str, Any]:
    """Return the page of channels that a console shows; see ``merge_sessions``.

    A channel's sessions are summed. ``complete`` is False where processes have more channels than
    they list: the sums of those that are not everybody's most used may then be too small.
    """
    complete = all(len(one["rows"]) == one["count"] for one in listed.values())
    if _is_one(listed):
        (one,) = listed.values()
        return {"rows": one["rows"], "count": one["count"], "last": one["count"], "complete": True}
    channels: dict[str, Row] = {}
    for one in listed.values():
        for row in one["rows"]:
            known = channels.setdefault(row["name"], {**row, "sessions": 0})
            known["sessions"] += row["sessions"]
    rows = sorted(channels.values(), key=_by_name if view.order == "name" else _by_sessions)
    return {"rows": _page(rows, view), "count": len(rows), "last": len(rows), "complete": complete}


def _is_one(listed: Mapping[str, Listed]) -> bool:
    """Whether this is a page of the only process that was looked at, and not all from the first."""
    return any(one["paged"] for one in listed.values())


def _by_name(row: Row) -> Any:
    return row["name"]


def _by_sessions(row: Row) -> Any:
    return -row["sessions"], row["name"]


def _page(rows: list[Row], view: View) -> list[Row]:
    return rows[view.page * PAGE : (view.page + 1) * PAGE]
