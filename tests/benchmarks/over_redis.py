"""What is measured over Redis: publishing, delivery by several workers, and the time on the way.

Redis runs on the load client's core, and is new for each case.
"""

import os
import selectors
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers import run_redis

from . import machine, measures, peers, process
from .crowd import Crowd, connected
from .process import Server
from .running import Case, Figures, Run

TASKS = 50  # that publish concurrently; redis-py allows 100 connections, and the peers want one a task
_WARM_UP = 0.3  # in seconds


@contextmanager
def redis() -> Iterator[None]:
    """Start the Redis of a case."""
    with tempfile.TemporaryDirectory() as folder, run_redis(Path(folder)) as server:
        os.environ[peers.REDIS_VARIABLE] = server.redis
        yield


def publishing(case: Case) -> Figures:
    """A process without clients publishes to one channel; in another process one client hears it, and reads all.

    One after the other, and from many tasks.
    """
    with redis():
        return publishing_here(case)


def publishing_here(case: Case) -> Figures:
    """Do that with the broker that is there."""
    with (
        process.start(case.peer, machine.CLIENT_CORE) as other,
        connected(peers.load(case.peer), other, 1) as crowd,
        process.start(case.peer) as publisher,
    ):
        one_by_one, together = (publish_for(case, publisher, crowd, tasks) for tasks in (1, TASKS))
    return {"sequential": one_by_one, "concurrent": together}


def publish_for(case: Case, publisher: Server, crowd: Crowd, tasks: int) -> float:
    """Return how many publications a second so many tasks make."""
    rate = 0.0
    for seconds in (_WARM_UP, case.seconds):
        publisher.command("publish", first=0, size=case.size, tasks=tasks, seconds=seconds)
        _read_until(publisher, crowd)
        reply = publisher.reply()
        rate = reply["published"] / reply["seconds"]
    return rate


def _read_until(replied: Server, crowd: Crowd) -> None:
    """Throw away what comes until there is a reply."""
    with selectors.DefaultSelector() as selector:
        selector.register(replied, selectors.EVENT_READ)
        for sock in crowd.sockets:
            selector.register(sock, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is replied:
                    return
                key.fileobj.recv(256 * 1024)  # type: ignore[union-attr]


def delivery(case: Case) -> Figures:
    """A process without clients publishes at a pace; one worker has all connections, or several share them.

    The load client, Redis, the publisher and the workers share two cores. So what counts is not how much comes through,
    but how many messages are delivered in a second of CPU time of the busiest worker: what it could do with a core.
    """
    with redis():
        return delivery_here(case)


def delivery_here(case: Case) -> Figures:
    """Do that with the broker that is there."""
    with ExitStack() as stack:
        publisher = stack.enter_context(process.start(case.peer, machine.CLIENT_CORE))
        workers = [stack.enter_context(process.start(case.peer)) for _ in range(case.workers)]
        crowd = stack.enter_context(connected(peers.load(case.peer), publisher, case.connections, *workers))
        run = Run(case, publisher, crowd)
        measures.paced_load(run, case.seconds / 10)
        before = [worker.cpu() for worker in workers]
        figures = measures.paced_load(run, case.seconds)
        busiest = max(worker.cpu() - cpu for worker, cpu in zip(workers, before, strict=True))
    return figures | {"rate_of_cpu": figures["messages"] / busiest}


def latency(case: Case) -> Figures:
    """One publication at a time, by the process that serves: the time from publish to arrival."""
    with redis():
        return measures.paced(case)
