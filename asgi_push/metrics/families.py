"""The metrics by name, and snapshots of them that can be stored and added up. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add
from typing import Any, Literal

from .counters import Counters, Histogram

PREFIX = "asgi_push_"

_SUFFIXES = {"counter": "_total", "gauge": "", "histogram": "_seconds"}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: an attribute of ``Counters``, and how Prometheus sees it."""

    attribute: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the metric, by the conventions of Prometheus."""
        return PREFIX + self.attribute + _SUFFIXES[self.kind]


_SESSION_LABELS = ("protocol", "transport")

FAMILIES = (
    Family("sessions", "gauge", "sessions that are open", (*_SESSION_LABELS, "writes")),
    Family("connects", "counter", "sessions that were opened", _SESSION_LABELS),
    Family("disconnects", "counter", "sessions that ended, by why", ("reason",)),
    Family("channels", "gauge", "channels that have sessions, each user's own among them"),
    Family("published", "counter", "publications that this process gave to the broker"),
    Family("publications", "counter", "publications that the broker handed to this process"),
    Family("deliveries", "counter", "publications times the sessions that they were handed to"),
    Family(
        "drops",
        "counter",
        "messages thrown away because a queue was full, by the policy",
        ("policy",),
    ),
    Family("queue_bytes", "gauge", "bytes that wait in the queues of all sessions"),
    Family("fanout", "histogram", "one run of the fan-out, from its first session to its last"),
    Family("fanout_hold", "histogram", "how long a run held the event loop at a stretch"),
    Family("confirmation", "histogram", "from a publication to its confirmation by a session"),
    Family("heartbeat_round_trip", "histogram", "from a ping to its pong (SDK protocol)"),
    Family(
        "recoveries",
        "counter",
        "clients that came back with a position, by what became of it",
        ("outcome",),
    ),
    Family(
        "gaps",
        "counter",
        "open subscriptions that could not go on because a publication was missing",
    ),
    Family(
        "acknowledgements",
        "counter",
        "times a client said what it has, by what became of that",
        ("outcome",),
    ),
    Family("answers", "counter", "answers of clients to questions, by outcome", ("outcome",)),
    Family("inbox", "counter", "publications for inboxes, by what became of them", ("outcome",)),
    Family("undelivered", "counter", "calls of on_undelivered, by what came of them", ("outcome",)),
    Family(
        "failures",
        "counter",
        "what raised an exception and cost no more than itself",
        ("where",),
    ),
    Family("broker", "histogram", "one request to the broker", ("operation",)),
    Family("broker_errors", "counter", "requests that the broker did not answer", ("operation",)),
    Family(
        "broker_outages",
        "counter",
        "times the broker began not to answer, to refuse or to be deaf",
        ("reason",),
    ),
    Family(
        "broker_up",
        "gauge",
        "1 while the broker answers and refuses nothing; of several processes the least",
    ),
)

# A number, or a histogram: its counts and its sum.
Value = float | tuple[list[int], float]

# The values of each metric by their labels; the metrics by their attribute.
Snapshot = dict[str, dict[tuple[str, ...], Value]]


def snapshot(counters: Counters) -> Snapshot:
    """Return all metrics as they are now."""
    names = [family.attribute for family in FAMILIES]
    return {name: _values(getattr(counters, name)) for name in names}


def _values(found: Any) -> dict[tuple[str, ...], Value]:
    if not isinstance(found, dict):
        return {(): _value(found)}
    values = {}
    for label, value in found.items():
        labels = label if isinstance(label, tuple) else (label,)
        values[labels] = _value(value)
    return values


def _value(found: Any) -> Value:
    return (list(found.counts), found.total) if isinstance(found, Histogram) else found


def dump(metrics: Snapshot) -> dict[str, Any]:
    """Return a snapshot in a form that JSON can hold."""
    found = {}
    for name, values in metrics.items():
        found[name] = [[list(labels), value] for labels, value in values.items()]
    return found


def parse(content: Any) -> Snapshot:
    """Return the snapshot of which ``dump`` made this, without metrics of other versions."""
    found: Snapshot = {}
    for family in FAMILIES:
        if family.attribute in content:
            values = content[family.attribute]
            found[family.attribute] = {tuple(labels): _parsed(value) for labels, value in values}
    return found


def _parsed(value: Any) -> Value:
    return tuple(value) if isinstance(value, list) else value


def total(snapshots: Iterable[tuple[Snapshot, bool]]) -> Snapshot:
    """Return the sum over several processes.

    Args:
        snapshots: each with whether its process is alive; the gauges of one that is not are left
            out, as what they say is over.
    """
    found: Snapshot = {family.attribute: {} for family in FAMILIES}
    for metrics, alive in snapshots:
        for family in FAMILIES:
            if alive or family.kind != "gauge":
                least = family.attribute == "broker_up"
                _add(found[family.attribute], metrics.get(family.attribute, {}), least=least)
    return found


def _add(
    found: dict[tuple[str, ...], Value],
    more: dict[tuple[str, ...], Value],
    *,
    least: bool,
) -> None:
    for labels, value in more.items():
        found[labels] = _sum(found[labels], value, least=least) if labels in found else value


def _sum(one: Any, other: Any, *, least: bool) -> Value:
    if isinstance(one, tuple):
        return list(map(add, one[0], other[0])), one[1] + other[1]
    found: float = min(one, other) if least else one + other
    return found
