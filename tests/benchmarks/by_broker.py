"""What each broker gives and costs.

The server of the broker, the processes of ours and the load client share two cores.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from tests import engines
from tests.servers import run_redis

from . import measures, over_redis, peers, process
from .crowd import connected
from .running import Case, Figures

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
    from tests.brokers.postgres_server import postgres_server

    with postgres_server(*_SYNCED) as server:
        yield server.url, lambda: _megabytes(server.processes())


def _megabytes(found: list[psutil.Process]) -> float:
    used = 0
    for each in found:
        with suppress(psutil.NoSuchProcess):  # an engine that has just ended
            used += each.memory_full_info().uss
    return used / 1e6


_BROKERS: dict[str, Callable[[], AbstractContextManager[Broker]]] = {
    "asgi_push_on_memory": _memory,
    "asgi_push_on_local": _local,
    "asgi_push_on_postgres": _postgres,
    "asgi_push_on_redis": _redis,
}
PEERS = tuple(_BROKERS)


def brokers(case: Case) -> Figures:
    """Publish, deliver and wait with the broker of a case: rates a second, milliseconds, megabytes."""
    with _BROKERS[case.peer]() as (url, memory):
        os.environ[peers.REDIS_VARIABLE] = url
        if url == "memory://":
            figures = _publishing_alone(case)
        else:
            figures = over_redis.publishing_here(case)
            used = memory()  # at once: an engine of local:// ends with the last process that uses it
            shared = over_redis.delivery_here(replace(case, connections=1000, workers=2, rate=10.0, seconds=4.0))
            figures |= {"rate_of_cpu": shared["rate_of_cpu"], "memory_mb": max(used, memory())}
        paced = measures.paced(replace(case, seconds=5.0))
        return figures | {name: paced[name] for name in ("last_p50_ms", "last_p99_ms")}


def _publishing_alone(case: Case) -> Figures:
    """Publish in the process that serves, as no other one hears it."""
    with process.start(case.peer) as server, connected(peers.load(case.peer), server, 1) as crowd:
        one_by_one = over_redis.publish_for(case, server, crowd, 1)
        return {
            "sequential": one_by_one,
            "concurrent": over_redis.publish_for(case, server, crowd, over_redis.TASKS),
        }
