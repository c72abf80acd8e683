"""The ratios that this library is held to, and what else is worth a ratio."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import peers
from .running import Figures
from .suite import WORKLOADS, Row

Turn = Mapping[tuple[str, str], Figures]  # one run of each, by workload and peer


@dataclass(frozen=True, slots=True)
class Ratio:
    """What was found, beside what was wanted."""

    name: str
    value: float
    unit: str
    target: str
    met: bool | None  # None: nothing is wanted

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "unit": self.unit, "target": self.target, "met": self.met}


Compute = Callable[[Turn], float]


def _over(workload: str, figure: str, one: str, other: str) -> Compute:
    return lambda turn: turn[workload, one][figure] / turn[workload, other][figure]


def _over_fastest(turn: Turn) -> float:
    others = [
        figures["rate"]
        for (workload, peer), figures in turn.items()
        if workload == "burst" and peers.load(peer).pure and not peer.startswith("asgi_push")
    ]
    if not others:
        raise KeyError("burst")
    return turn["burst", "asgi_push"]["rate"] / max(others)


def _more_memory(peer: str) -> Compute:
    return lambda turn: turn["idle", peer]["memory_kb"] - turn["idle", "bare"]["memory_kb"]


def _connect(peer: str) -> Compute:
    return lambda turn: (turn["connects", peer]["cpu_us"] - turn["connects", "bare"]["cpu_us"]) / 1000


def _http_in_a_burst(turn: Turn) -> float:
    return turn["http", "asgi_push"]["p99_ms"]


def _http_allowed(turn: Turn) -> float:
    return max(25.0, 3 * turn["http", "asgi_push"]["idle_p99_ms"])


def _median(compute: Compute, turns: Sequence[Turn]) -> float | None:
    found = []
    for turn in turns:
        with suppress(KeyError, ZeroDivisionError):
            found.append(compute(turn))
    return statistics.median(found) if found else None


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    compute: Compute
    unit: str = "x"
    at_least: float | None = None
    at_most: float | Compute | None = None

    def ratio(self, turns: Sequence[Turn]) -> Ratio | None:
        """Return what was found; None where it was not measured."""
        value = _median(self.compute, turns)
        if value is None:
            return None
        if self.at_least is not None:
            return Ratio(self.name, value, self.unit, f">= {self.at_least:g}", value >= self.at_least)
        if self.at_most is not None:
            most = (_median(self.at_most, turns) or 0.0) if callable(self.at_most) else self.at_most
            return Ratio(self.name, value, self.unit, f"<= {most:g}", value <= most)
        return Ratio(self.name, value, self.unit, "", None)


_MANAGER = "connection_manager"
_OFF = "asgi_push_compression_off"


def _cpu(workload: str, other: str, ours: str = "asgi_push") -> Compute:
    return _over(workload, "cpu_us", ours, other)


def _rate(workload: str, other: str, ours: str = "asgi_push") -> Compute:
    return _over(workload, "rate", ours, other)


def _redis(figure: str) -> Compute:
    return _over("redis_publish", figure, "asgi_push_redis", "channels_redis")


def _two_workers(turn: Turn) -> float:
    one, two = (turn[workload, "asgi_push_redis"]["rate_of_cpu"] for workload in ("redis_worker", "redis_workers"))
    return two / one


_BEHIND = {
    "Sentry": "asgi_push_sentry",
    "OpenTelemetry": "asgi_push_opentelemetry",
    "SessionMiddleware": "asgi_push_sessions",
}

# Milliseconds above a bare handler.
_CONNECTS = {
    "plain": ("connect_plain", 0.25),
    "plain with ?channels=": ("connect_channels", 0.25),
    "envelopes": ("connect_envelopes", None),
    "SDK protocol with a subscribe": ("connect_sdk", 0.4),
}

_SERVERS = {
    "Hypercorn": "_hypercorn",
    "Hypercorn with trio": "_hypercorn_trio",
    "Granian": "_granian",
    "Daphne": "_daphne",
}

_ABROAD = {
    "ws (Node)": "node_ws",
    "Socket.IO (Node)": "node_socketio",
    "nats-server (Go)": "nats",
    "nchan (C)": "nchan",
}

_WANTED = (
    _Wanted("burst: messages/s over ConnectionManager", _rate("burst", _MANAGER), at_least=20),
    _Wanted("burst: messages/s over the fastest other in pure Python", _over_fastest, at_least=10),
    _Wanted("burst: messages/s over picows (Cython)", _rate("burst", "picows")),
    _Wanted(
        "burst, direct_writes=false: messages/s over ConnectionManager",
        _rate("burst", _MANAGER, "asgi_push_ordinary"),
        at_least=1.5,
    ),
    _Wanted(
        "burst, SDK protocol: messages/s over ConnectionManager", _rate("burst", _MANAGER, "asgi_push_sdk"), at_least=20
    ),
    _Wanted(
        "burst, SDK protocol, direct_writes=false: messages/s over ConnectionManager",
        _rate("burst", _MANAGER, "asgi_push_sdk_ordinary"),
        at_least=5,
    ),
    _Wanted(
        "burst, envelopes: messages/s over those without",
        _rate("burst", "asgi_push", "asgi_push_envelopes"),
        at_least=0.8,
    ),
    _Wanted(
        "paced, envelopes: CPU over those without",
        _cpu("paced", "asgi_push", "asgi_push_envelopes"),
        at_most=1.05,
    ),
    _Wanted(
        "burst, metrics on: messages/s over metrics off",
        _rate("metrics", "asgi_push", "asgi_push_metrics"),
        at_least=0.95,
    ),
    _Wanted(
        "burst, tracing on, in a trace that is not sampled: messages/s over tracing off",
        _rate("tracing", "asgi_push", "asgi_push_traced_below"),
        at_least=0.97,
    ),
    _Wanted(
        "burst, tracing on, nothing sampled: messages/s over tracing off",
        _rate("tracing", "asgi_push", "asgi_push_traced"),
        at_least=0.97,
    ),
    _Wanted(
        "burst, tracing on, 1 % sampled: messages/s over tracing off",
        _rate("tracing", "asgi_push", "asgi_push_traced_1"),
        at_least=0.95,
    ),
    *(
        _Wanted(f"burst, behind {name}: messages/s over without", _rate("behind", "asgi_push", peer), at_least=0.9)
        for name, peer in _BEHIND.items()
    ),
    *(
        _Wanted(f"paced, behind {name}: CPU over without", _cpu("behind_paced", "asgi_push", peer), at_most=1.1)
        for name, peer in _BEHIND.items()
    ),
    _Wanted(
        "burst, HTTP API in batches of 10: messages/s over from inside",
        _rate("outside", "asgi_push", "asgi_push_outside"),
        at_least=0.5,
    ),
    *(
        _Wanted(
            f"burst on {name}: messages/s over a loop of await send there",
            _over("servers", "burst_rate", f"asgi_push{server}", f"starlette_loop{server}"),
        )
        for name, server in _SERVERS.items()
    ),
    *(
        _Wanted(f"burst: messages/s over {name}", _over("abroad", "burst_rate", "asgi_push", peer))
        for name, peer in _ABROAD.items()
    ),
    _Wanted("burst, event streams: messages/s over ConnectionManager", _rate("burst", _MANAGER, "asgi_push_sse")),
    _Wanted("paced, event streams: CPU over WebSockets", _cpu("paced", "asgi_push", "asgi_push_sse")),
    _Wanted("4 KiB burst: messages/s over ConnectionManager", _rate("large", _MANAGER)),
    _Wanted("paced: CPU over ConnectionManager", _cpu("paced", _MANAGER), at_most=0.55),
    _Wanted("paced: CPU over websockets.broadcast", _cpu("paced", "websockets"), at_most=0.8),
    _Wanted("8,000 connections: CPU over ConnectionManager", _cpu("crowd", _MANAGER), at_most=0.6),
    _Wanted("deflate offered: CPU over ConnectionManager", _cpu("deflate", _MANAGER)),
    _Wanted("compressed, 1 kB: CPU over compression=off", _cpu("compressed", _OFF), at_most=1.15),
    _Wanted(
        "compressed, 1 kB: bytes over compression=off",
        _over("compressed", "wire_bytes", "asgi_push", _OFF),
        at_most=0.3,
    ),
    _Wanted("send_to_user: CPU over a dict lookup", _cpu("users", "dict_lookup", "asgi_push_users"), at_most=1.1),
    _Wanted(
        "receipts on 1 %: CPU over a page that confirms nothing",
        _cpu("receipts", "asgi_push_no_receipts", "asgi_push_receipts_1"),
    ),
    _Wanted(
        "receipts on all: CPU over a page that confirms nothing",
        _cpu("receipts", "asgi_push_no_receipts", "asgi_push_receipts_all"),
    ),
    _Wanted("idle: memory of a connection over a bare handler's", _more_memory("asgi_push"), "kB", at_most=1.5),
    _Wanted("idle: the same of one with a user", _more_memory("asgi_push_users"), "kB", at_most=1.5),
    _Wanted("idle: CPU of a heartbeat over a bare handler's", _cpu("idle", "bare"), at_most=1.3),
    _Wanted("Redis, history: publications/s over channels_redis", _redis("sequential"), at_least=2),
    _Wanted("Redis, history: the same from 50 tasks", _redis("concurrent"), at_least=5),
    _Wanted("Redis: messages per CPU second of the busier of two workers over one", _two_workers, at_least=1.6),
    *(
        _Wanted(f"connect, {name}{where}: CPU over a bare handler's", _connect(peer + suffix), "ms", at_most=most)
        for where, suffix in ((", memory", ""), (", Redis", "_redis"))
        for name, (peer, most) in _CONNECTS.items()
    ),
    _Wanted("HTTP p99 while a burst runs", _http_in_a_burst, "ms", at_most=_http_allowed),
)


def ratios(rows: Sequence[Row]) -> list[Ratio]:
    """Return all ratios that these rows allow.

    Each is the median of the ratios of the single turns: a slow minute of the machine hits both sides of one.
    """
    rows = [row for row in rows if len(WORKLOADS[row.workload].cases) == 1]
    turns = [
        {(row.workload, row.case.peer): row.runs[place] for row in rows if place < len(row.runs)}
        for place in range(max((len(row.runs) for row in rows), default=0))
    ]
    found = [wanted.ratio(turns) for wanted in _WANTED]
    return [ratio for ratio in found if ratio is not None]
