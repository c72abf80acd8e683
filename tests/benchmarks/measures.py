"""The workloads: what is measured of a case, as figures by name."""

from bisect import bisect_right
from dataclasses import replace

from . import peers
from .crowd import Arrived, Due
from .http_probe import probing
from .running import Case, Figures, Run, running

_TICK = 10  # publications between two turns of the loop, in a burst
_STEP = 16  # how much longer a burst may be than the one before
_MAX_STREAM = 64 * 1024 * 1024  # what is due and kept in memory, in bytes
_LONG_ENOUGH = 0.7  # of the wanted seconds
_BEATS = 400.0  # heartbeats a second: what 10,000 connections send that ping every 25 s
_WARM_BEATS = 3200.0  # the same before anything is measured
_UNLIMITED = 600.0  # a load lasts as long as it takes, in seconds; the client's patience ends before


def burst(case: Case) -> Figures:
    """As fast as the server goes: messages delivered a second, and their cost."""
    with running(case) as run:
        return _growing_burst(run, case.seconds)[1]


def one_and_many(case: Case) -> Figures:
    """One publication at a time, then as fast as the server goes, on one server: what both say most of all."""
    with running(case) as run:
        paced_load(run, 1 / 3)
        paced = paced_load(run, case.seconds)
        _, burst = _growing_burst(run, case.seconds / 3)
    return {
        "paced_cpu_us": paced["cpu_us"],
        **{name: paced[name] for name in ("last_p50_ms", "last_p99_ms", "pace_kept") if name in paced},
        **{f"burst_{name}": burst[name] for name in ("rate", "writes", "cpu_us")},
        **{name: burst[name] for name in ("server_share", "client_share", "complete")},
    }


def outside(case: Case) -> Figures:
    """The burst by the HTTP API for the peer that has its key, from inside for any other."""
    with running(case) as run:
        if case.peer != "asgi_push_outside":
            return _growing_burst(run, case.seconds)[1]
        return _growing_burst(run, case.seconds, "batches", port=run.server.port)[1]


def _growing_burst(run: Run, seconds: float, load: str = "burst", **arguments: float) -> tuple[int, Figures]:
    """Burst ever longer, until one burst takes about so many seconds; all before it is warm-up."""
    count = _TICK
    most = _tens(_MAX_STREAM / run.case.size)
    while True:
        due = run.due_to_all(count)
        _, figures = run.load(load, due, count=count, tick=_TICK, seconds=_UNLIMITED, **arguments)
        elapsed = figures["seconds"]
        if not figures["complete"] or elapsed > _LONG_ENOUGH * seconds or count == most:
            return count, figures
        count = min(most, _tens(count * min(_STEP, seconds / elapsed)))


def _tens(count: float) -> int:
    return max(_TICK, round(count / _TICK) * _TICK)


def paced(case: Case) -> Figures:
    """One publication at a time: the cost of a message, and the time from publish to arrival."""
    with running(case) as run:
        paced_load(run, 1 / 3)
        return paced_load(run, case.seconds)


def paced_load(run: Run, seconds: float) -> Figures:
    """Publish one by one for so long."""
    count = max(2, int(run.case.rate * seconds))
    due = run.due_to_all(count)
    arrived, figures = run.load("paced", due, count=count, rate=run.case.rate, note=True)
    return figures | _latencies(arrived, due) | {"pace_kept": arrived.reply["published"] / count}


def _latencies(arrived: Arrived, due: Due) -> Figures:
    """Return how long a message took, and how long it took until the last client had a publication."""
    times, found, last = arrived.reply.get("times", []), list[float](), dict[int, float]()
    for begin, end, when in arrived.places:  # as they came, so that the last of a publication is what stays
        for place in range(bisect_right(due.ends, begin), min(bisect_right(due.ends, end), len(times))):
            last[place] = when - times[place]
            found.append(last[place])
    return _percentiles("", found) | _percentiles("last_", list(last.values()))


def _percentiles(prefix: str, seconds: list[float]) -> Figures:
    found = sorted(seconds)
    if not found:
        return {}
    return {
        f"{prefix}p50_ms": found[len(found) // 2] * 1e3,
        f"{prefix}p99_ms": found[int(len(found) * 0.99)] * 1e3,
    }


def to_users(case: Case) -> Figures:
    """One message to each user, in random order, again and again: the cost of a message."""
    rounds = 10
    with running(case) as run:
        while True:
            due = run.due_to_users(rounds)
            _, figures = run.load("to_users", due, rounds=rounds, users=case.connections, tick=_TICK)
            elapsed = figures["seconds"]
            if not figures["complete"] or elapsed > _LONG_ENOUGH * case.seconds:
                return figures
            rounds = int(rounds * min(_STEP, case.seconds / elapsed)) + 1


def http(case: Case) -> Figures:
    """How long the wrapped application takes to answer, while nothing else happens and while a burst runs."""
    path = peers.load(case.peer).http
    with running(case) as run:
        _, figures = _growing_burst(run, case.seconds / 4)
        with probing(run.server.port, path, case.seconds) as probe:
            _, quiet = probe.latencies()
        # More than it can do: the burst ends by its time, which is after the probe's.
        lasts = case.seconds + 1
        count = _tens(min(4 * figures["rate"] / case.connections * lasts, _MAX_STREAM / case.size))
        due = run.due_to_all(count)
        with probing(run.server.port, path, case.seconds) as probe:
            _, figures = run.load("burst", due, count=count, tick=_TICK, seconds=lasts)
            median, loaded = probe.latencies()
    return {"rate": figures["rate"], "idle_p99_ms": quiet, "p50_ms": median, "p99_ms": loaded}


def idle(case: Case) -> Figures:
    """Connections that only send heartbeats: the cost of a heartbeat and the memory of a connection.

    The memory is that of nine connections in ten: what the first one costs, modules and pools, is not in it.
    """
    few = case.connections // 10
    with running(replace(case, connections=few)) as run:
        run.crowd.beat(few, _WARM_BEATS)
        before = run.server.memory()
        run.crowd.grow(case.connections)
        run.crowd.beat(case.connections, _WARM_BEATS)
        memory = (run.server.memory() - before) / (case.connections - few)
        count, cpu = int(_BEATS * case.seconds), run.server.cpu()
        run.crowd.beat(count, _BEATS)
        return {"cpu_us": (run.server.cpu() - cpu) / count * 1e6, "memory_kb": memory / 1024}
