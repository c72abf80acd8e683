"""What is run: the workloads, the peers of each, and the medians of several runs."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import by_broker, connects, measures, over_redis, peers
from .crowd import StreamError
from .process import ServerFailed
from .running import Case, Figures

_OURS = ("asgi_push", "asgi_push_ordinary")
_SSE = ("asgi_push_sse", "asgi_push_sse_ordinary")
_ENVELOPES = ("asgi_push_envelopes",)
_SDK = ("asgi_push_sdk", "asgi_push_sdk_ordinary")
_BEHIND = ("asgi_push", "asgi_push_sentry", "asgi_push_opentelemetry", "asgi_push_sessions")
_CONNECTS = ("connect_plain", "connect_channels", "connect_envelopes", "connect_sdk")
_CONNECTS_REDIS = tuple(f"{peer}_redis" for peer in _CONNECTS)
_LIBRARIES = ("websockets", "litestar", "broadcaster", "channels", "socketio", "picows")
_OVER_REDIS = (
    "asgi_push_redis", "asgi_push_redis_unkept", "channels_redis", "channels_redis_pubsub", "socketio_redis",
    "litestar_redis", "litestar_redis_stream",
)  # fmt: skip
_SEVERAL_WORKERS = (
    "asgi_push_redis", "asgi_push_redis_unkept", "channels_redis_pubsub", "socketio_redis", "litestar_redis",
)  # fmt: skip
_COMPARED = (*_OURS, "connection_manager")  # next to one another, as a ratio is that of one turn
_OTHERS = ("connection_manager_once", "starlette_loop", *_LIBRARIES)
_ABROAD = ("node_ws", "node_socketio", "nats", "nchan")
_SERVERS = tuple(
    f"{peer}{server}"
    for server in ("", "_hypercorn", "_hypercorn_trio", "_granian", "_daphne")
    for peer in ("asgi_push_ordinary" if not server else "asgi_push", "starlette_loop")
)
_GROWING = (*_OURS, "connection_manager", "starlette_loop", "websockets")


@dataclass(frozen=True, slots=True)
class Workload:
    """One table of the report."""

    title: str
    measure: Callable[[Case], Figures]
    peers: tuple[str, ...]
    columns: tuple[str, ...]  # the figures to show, the deciding one first
    cases: tuple[Case, ...]  # without a peer yet; more than one is a series
    quick: tuple[Case, ...]
    # How many runs are made where others have one. A difference of a few percent needs more. Fewer do for a run that
    # is long, or for figures of which the order of magnitude counts.
    times: float = 1.0
    rarely: tuple[
        str, ...
    ] = ()  # peers of which three runs do where others have five: they are in no ratio of a few percent


def _once(case: Case, *, quick: Case | None = None) -> dict[str, tuple[Case, ...]]:
    return {"cases": (case,), "quick": (quick or replace(case, seconds=case.seconds / 2),)}


_BURST = ("rate", "publications", "writes", "cpu_us", "wire_bytes")
_ONE_AND_MANY = ("paced_cpu_us", "last_p50_ms", "last_p99_ms", "burst_rate", "burst_writes", "burst_cpu_us")
_SHARED = ("rate_of_cpu", "p50_ms", "p99_ms")
_PACED = ("cpu_us", "p50_ms", "p99_ms", "last_p50_ms", "last_p99_ms", "wire_bytes")

# 8,000 connections get a few publications a second: about as many messages as 1,000 connections get at 30. At 30 no
# peer could keep the pace, and what is measured would be another burst.
_CROWD = Case("", connections=8000, rate=4.0, seconds=5.0)

# Of five runs three, two or one of what takes long or needs no ratio of a few percent.
_FEW = 0.6
_TWICE = 0.4
_ONCE = 0.2

WORKLOADS = {
    "burst": Workload(
        "Burst: 1,000 connections, 10 publications a tick, 128 bytes",
        measures.burst,
        (*_ENVELOPES, *_COMPARED, *_SDK, *_SSE, *_OTHERS),
        _BURST,
        **_once(Case("", seconds=1.0)),
        rarely=_OTHERS,
    ),
    "metrics": Workload(
        "Metrics: the burst without and with them",
        measures.burst,
        ("asgi_push", "asgi_push_metrics"),
        _BURST,
        **_once(Case("", seconds=1.0)),
        times=2,
    ),
    "tracing": Workload(
        "Tracing: the burst without and with it",
        measures.burst,
        ("asgi_push", "asgi_push_traced_below", "asgi_push_traced", "asgi_push_traced_1"),
        _BURST,
        **_once(Case("", seconds=1.0)),
        times=2,
    ),
    "paced": Workload(
        "Paced: 1,000 connections, 30 publications a second, 128 bytes",
        measures.paced,
        (*_ENVELOPES, *_COMPARED, *_SSE, *_OTHERS),
        _PACED,
        **_once(Case("", seconds=3.0)),
        rarely=_OTHERS,
    ),
    "outside": Workload(
        "Publishing from outside: the burst from inside, and by the HTTP API in batches of 10",
        measures.outside,
        ("asgi_push", "asgi_push_outside"),
        _BURST,
        **_once(Case("", seconds=1.0)),
        times=1.2,
    ),
    "behind": Workload(
        "Behind middlewares that wrap send: the burst",
        measures.burst,
        _BEHIND,
        _BURST,
        **_once(Case("", seconds=1.0)),
        times=1.2,
    ),
    "behind_paced": Workload(
        "Behind middlewares that wrap send: paced",
        measures.paced,
        _BEHIND,
        _PACED,
        **_once(Case("", seconds=3.0)),
        times=_FEW,
    ),
    "servers": Workload(
        "Other servers, without direct writes: 5 publications a second, then a burst",
        measures.one_and_many,
        _SERVERS,
        _ONE_AND_MANY,
        **_once(Case("", rate=5.0, seconds=4.0)),
        times=_TWICE,
    ),
    "abroad": Workload(
        "Servers outside Python: 30 publications a second, then a burst",
        measures.one_and_many,
        ("asgi_push", "asgi_push_sdk", *_ABROAD),
        _ONE_AND_MANY,
        **_once(Case("", seconds=3.0)),
        times=_TWICE,
    ),
    "crowd": Workload(
        "Crowd: 8,000 connections, 4 publications a second, 128 bytes",
        measures.paced,
        _GROWING,
        _PACED,
        **_once(_CROWD),
        times=_FEW,
    ),
    "large": Workload(
        "Large: as the burst, with 4 KiB",
        measures.burst,
        (*_COMPARED, "starlette_loop", "websockets", "picows"),
        _BURST,
        **_once(Case("", size=4096, seconds=1.0)),
        times=_FEW,
    ),
    "deflate": Workload(
        "As browsers connect: as paced, the client offers permessage-deflate",
        measures.paced,
        (*_OURS, "connection_manager", "starlette_loop", "websockets"),
        _PACED,
        **_once(Case("", seconds=3.0, deflate=True)),
        times=_FEW,
    ),
    "compressed": Workload(
        "Compressed: 1,000 connections that offer permessage-deflate, 5 publications a second, 1 kB",
        measures.paced,
        ("asgi_push", "asgi_push_compression_off", "connection_manager", "starlette_loop", "websockets"),
        _PACED,
        **_once(Case("", size=1024, rate=5.0, seconds=6.0, deflate=True)),
        times=_FEW,
    ),
    "users": Workload(
        "Users: 1,000 of them, a message to one after the other in random order",
        measures.to_users,
        ("asgi_push_users", "dict_lookup"),
        ("cpu_us", "rate"),
        **_once(Case("", seconds=1.0)),
    ),
    "receipts": Workload(
        "Receipts: a message to each of 1,000 users, whose pages confirm, in envelopes",
        measures.to_users,
        ("asgi_push_no_receipts", "asgi_push_receipts_1", "asgi_push_receipts_all"),
        ("cpu_us", "rate"),
        **_once(Case("", seconds=1.0)),
    ),
    "idle": Workload(
        "Idle: 10,000 connections that send a heartbeat every 25 s",
        measures.idle,
        ("asgi_push", "asgi_push_users", "bare", "connection_manager"),
        ("cpu_us", "memory_kb"),
        **_once(Case("", connections=10_000, seconds=8.0), quick=Case("", connections=2000, seconds=5.0)),
        times=_FEW,
    ),
    "connects": Workload(
        "Connects: clients with a user each, until they are in",
        connects.connects,
        ("bare", *_CONNECTS, *_CONNECTS_REDIS),
        ("cpu_us", "connects"),
        **_once(Case("", connections=3000), quick=Case("", connections=1000)),
        times=_TWICE,
    ),
    "storm": Workload(
        "Storm: 10,000 clients that come at once, as after a restart",
        connects.storm,
        ("bare", *_CONNECTS, *_CONNECTS_REDIS),
        ("welcome_s", "hold_ms", "cpu_us"),
        **_once(Case("", connections=10_000), quick=Case("", connections=3000)),
        times=_ONCE,
    ),
    "http": Workload(
        "HTTP: what the wrapped application takes to answer while a burst runs",
        measures.http,
        (*_OURS, "connection_manager", "starlette_loop", "litestar"),
        ("p99_ms", "p50_ms", "idle_p99_ms"),
        **_once(Case("", seconds=3.0)),
        times=_FEW,
    ),
    "brokers": Workload(
        "Brokers: publications a second, 100 connections at 30 a second, and 1,000 to two workers at 10 a second",
        by_broker.brokers,
        by_broker.PEERS,
        ("sequential", "concurrent", "last_p50_ms", "last_p99_ms", "rate_of_cpu", "memory_mb"),
        **_once(Case("", connections=100)),
        times=_ONCE,
    ),
    "redis_publish": Workload(
        "Redis: publications a second to one channel by one process, one after the other and from 50 tasks, 128 bytes",
        over_redis.publishing,
        # broadcaster 0.3.1 only publishes: it loses subscribers who come while it subscribes in Redis.
        (*_OVER_REDIS, "broadcaster_redis"),
        ("sequential", "concurrent"),
        **_once(Case("", seconds=1.0)),
        times=_TWICE,
    ),
    "redis_latency": Workload(
        "Redis: 100 connections, 30 publications a second, 128 bytes",
        over_redis.latency,
        ("asgi_push", *_OVER_REDIS),
        _PACED,
        **_once(Case("", connections=100, seconds=3.0)),
        times=_TWICE,
    ),
    "redis_worker": Workload(
        "Redis: 1,000 connections to one worker, 10 publications a second by another process, 128 bytes",
        over_redis.delivery,
        _SEVERAL_WORKERS,
        _SHARED,
        **_once(Case("", rate=10.0, seconds=4.0)),
        times=_FEW,
    ),
    "redis_workers": Workload(
        "Redis: the same 1,000 connections to two workers",
        over_redis.delivery,
        _SEVERAL_WORKERS,
        _SHARED,
        **_once(Case("", workers=2, rate=10.0, seconds=4.0)),
        times=_FEW,
    ),
    "growth": Workload(
        "Growth: as paced, with 100 connections; the page shows it beside 1,000 and 8,000",
        measures.paced,
        _GROWING,
        _PACED,
        **_once(Case("", connections=100, seconds=3.0)),
        times=_FEW,
    ),
}


@dataclass(slots=True)
class Row:
    """One case and what came of its runs."""

    workload: str
    case: Case
    runs: list[Figures]
    error: str = ""

    @property
    def median(self) -> Figures:
        names = self.runs[0] if self.runs else {}
        return {name: statistics.median(run[name] for run in self.runs if name in run) for name in names}

    def as_json(self) -> dict[str, Any]:
        case = self.case
        about = {"workload": self.workload, "peer": case.peer, "title": peers.load(case.peer).title}
        about |= {"connections": case.connections, "size": case.size}
        return about | {"median": self.median, "runs": self.runs} | ({"error": self.error} if self.error else {})


def run(names: Sequence[str], chosen: frozenset[str], runs: int, *, quick: bool) -> list[Row]:
    """Measure, run after run through all the peers of a workload, so that a slow minute of the machine hits all.

    Every other run goes through them backwards: what is measured first, or after a peer that heats the machine, would
    else be so in each run.
    """
    missing = _missing({peer for name in names for peer in WORKLOADS[name].peers if not chosen or peer in chosen})
    rows = [
        Row(name, replace(case, peer=peer), [])
        for name in names
        for case in (WORKLOADS[name].quick if quick else WORKLOADS[name].cases)
        for peer in WORKLOADS[name].peers
        if (not chosen or peer in chosen) and peer not in missing
    ]
    for name in names:
        order = [row for row in rows if row.workload == name]
        turns = max(1, round(runs * WORKLOADS[name].times))
        for turn in range(turns):
            for row in order:
                if not row.error and (turn < turns * _FEW or row.case.peer not in WORKLOADS[name].rarely):
                    _measure(row, turn)
            order.reverse()
    return rows


def _missing(names: Iterable[str]) -> set[str]:
    """Return the peers that are not installed, and say how they would be."""
    found = {name: said for name in sorted(names) if (said := peers.load(name).missing())}
    for name, said in found.items():
        _say(f"{peers.load(name).title} is left out: {said}")
    return set(found)


def _measure(row: Row, turn: int) -> None:
    begun = time.monotonic()
    _say(f"{row.workload}, run {turn + 1}: {row.case.peer}, {row.case.connections:,} connections ... ", end="")
    try:
        row.runs.append(WORKLOADS[row.workload].measure(row.case))
    except (StreamError, ServerFailed, OSError) as error:
        row.error = f"{type(error).__name__}: {error}"
        _say(f"failed\n{row.error}")
    else:
        _say(f"{time.monotonic() - begun:.1f} s")


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)
