"""The metrics by name, and the numbers of a process as data that can be written down and added up. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add
from typing import Any, Literal

from .counters import Counters, Histogram

PREFIX = "asgi_push_"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: ``attribute`` of ``Counters``, and what is said of it."""

    attribute: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name, as the conventions of Prometheus want it."""
        unit = {"counter": "_total", "gauge": "", "histogram": "_seconds"}[self.kind]
        return PREFIX + self.attribute + unit


_WHAT = ("protocol", "transport")

FAMILIES = (
    Family("sessions", "gauge", "sessions that are open", _WHAT),
    Family("connects", "counter", "sessions that were opened", _WHAT),
    Family("disconnects", "counter", "sessions that ended, by why", ("reason",)),
    Family("channels", "gauge", "channels that have sessions, each user's own among them"),
    Family("published", "counter", "publications that this process gave to the broker"),
    Family("publications", "counter", "publications that the broker handed to this process"),
    Family("deliveries", "counter", "publications times the sessions that they were handed to"),
    Family("drops", "counter", "messages thrown away because a queue was full, by the policy", ("policy",)),
    Family("queue_bytes", "gauge", "bytes that wait in the queues of all sessions"),
    Family("fanout", "histogram", "one run of the fan-out, from its first session to its last"),
    Family("fanout_hold", "histogram", "how long a run held the event loop at a offset_range"),
    Family("heartbeat_round_trip", "histogram", "from a ping to its pong (SDK protocol)"),
    Family("recoveries", "counter", "clients that came back with a position, by what became of it", ("outcome",)),
    Family("gaps", "counter", "open subscriptions that could not go on because a publication was missing"),
    Family("failures", "counter", "what raised an exception and cost no more than itself", ("where",)),
    Family("broker", "histogram", "one request to the broker", ("operation",)),
    Family("broker_errors", "counter", "requests that the broker did not answer", ("operation",)),
    Family("broker_outages", "counter", "times the broker began not to answer, to refuse or to be deaf", ("reason",)),
    Family("broker_up", "gauge", "1 while the broker answers and refuses nothing; of several processes the least"),
)

# A number, or what a histogram is: its counts and its sum.
Value = float | tuple[list[int], float]
# By the attribute of a family: the values by their labels.
Snapshot = dict[str, dict[tuple[str, ...], Value]]


def snapshot(counters: Counters) -> Snapshot:
    """Return all numbers as they are now."""
    return {family.attribute: _values(getattr(counters, family.attribute)) for family in FAMILIES}


def _values(found: Any) -> dict[tuple[str, ...], Value]:
    if not isinstance(found, dict):
        return {(): _value(found)}
    return {labels if isinstance(labels, tuple) else (labels,): _value(value) for labels, value in found.items()}


def _value(found: Any) -> Value:
    return (list(found.counts), found.total) if isinstance(found, Histogram) else found


def dump(numbers: Snapshot) -> dict[str, Any]:
    """Return a snapshot as JSON has it."""
    return {name: [[list(labels), value] for labels, value in values.items()] for name, values in numbers.items()}


def parse(content: Any) -> Snapshot:
    """Return the snapshot that ``dump`` made this of; of metrics that another version had, the known ones."""
    known = {family.attribute for family in FAMILIES}
    return {
        name: {tuple(labels): tuple(value) if isinstance(value, list) else value for labels, value in values}
        for name, values in content.items()
        if name in known
    }


def total(snapshots: Iterable[tuple[Snapshot, bool]]) -> Snapshot:
    """Return the sum over several processes; of one that does not live any more, what it counted and no gauge."""
    found: Snapshot = {family.attribute: {} for family in FAMILIES}
    for numbers, alive in snapshots:
        for family in FAMILIES:
            if alive or family.kind != "gauge":
                _add(found[family.attribute], numbers.get(family.attribute, {}), least=family.attribute == "broker_up")
    return found


def _add(found: dict[tuple[str, ...], Value], more: dict[tuple[str, ...], Value], *, least: bool) -> None:
    for labels, value in more.items():
        found[labels] = _sum(found[labels], value, least=least) if labels in found else value


def _sum(one: Any, other: Any, *, least: bool) -> Value:
    if isinstance(one, tuple):
        return list(map(add, one[0], other[0])), one[1] + other[1]
    found: float = min(one, other) if least else one + other
    return found
