"""What each broker gives and costs, one after the other: ``python -m tests.benchmarks.by_broker``.

The server of the broker, the processes of ours and the load client share two cores.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from tests import engines
from tests.brokers.postgres_server import postgres_server
from tests.servers import run_redis

from . import machine, measures, over_redis, peers, process
from .crowd import connected
from .running import Case, Figures

_PEER = "asgi_push_redis"  # it takes whatever broker the environment names
_SYNCED = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")  # as in production

# Where its server is, and what it takes of memory, in MB.
Broker = tuple[str, Callable[[], float]]


@contextmanager
def _memory() -> Iterator[Broker]:
    yield "memory://", lambda: 0.0


@contextmanager
def _local() -> Iterator[Broker]:
    with engines.temporary_home() as home:
        yield "local://benchmark", lambda: _megabytes(engines.processes(home))


@contextmanager
def _redis() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory() as folder, run_redis(Path(folder)) as server:
        yield server.redis, lambda: _megabytes([psutil.Process(server.process.pid)])


@contextmanager
def _postgres() -> Iterator[Broker]:
    with postgres_server(*_SYNCED) as server:
        yield server.url, lambda: _megabytes(server.processes())


def _megabytes(processes: list[psutil.Process]) -> float:
    return sum(process.memory_full_info().uss for process in processes) / 1e6


BROKERS: dict[str, Callable[[], AbstractContextManager[Broker]]] = {
    "memory://": _memory,
    "local://": _local,
    "redis://": _redis,
    "postgres://": _postgres,
}


def measure(open_broker: Callable[[], AbstractContextManager[Broker]]) -> Figures:
    """Return what one broker gives: rates a second, milliseconds, megabytes."""
    with open_broker() as (url, memory):
        os.environ[peers.REDIS_VARIABLE] = url
        if url == "memory://":
            published = _publishing_alone(Case(_PEER))
            shared = {"rate_of_cpu": 0.0}
        else:
            published = over_redis.publishing_here(Case(_PEER))
            shared = over_redis.delivery_here(Case(_PEER, workers=2, rate=10.0, seconds=6.0))
        paced = measures.paced(Case(_PEER, connections=100, seconds=5.0))
        return {
            **published,
            "p50_ms": paced["p50_ms"],
            "p99_ms": paced["p99_ms"],
            "rate_of_cpu": shared["rate_of_cpu"],
            "memory_mb": memory(),
        }


def _publishing_alone(case: Case) -> Figures:
    """Publish in the process that serves, as no other one hears it."""
    with process.start(case.peer) as server, connected(peers.load(case.peer), server, 1) as crowd:
        one_by_one = over_redis.publish_for(case, server, crowd, 1)
        return {
            "sequential": one_by_one,
            "concurrent": over_redis.publish_for(case, server, crowd, over_redis.TASKS),
        }


def main() -> None:
    """Print a row for each broker."""
    machine.pin(machine.CLIENT_CORE)
    machine.raise_file_limit()
    print(f"load average {os.getloadavg()[0]:.2f}")
    for name, open_broker in BROKERS.items():
        figures = measure(open_broker)
        print(name, {what: round(figure, 2) for what, figure in figures.items()}, flush=True)


if __name__ == "__main__":
    main()
