"""Large crowds: memory and objects of a session, its heartbeats, a publication to all, and the holds of the loop.

Each worker has a load client of its own, a process with as many connections. So the limit of open files holds for a
worker and for a client, not for all together. On one machine a crowd of 100,000 takes 5 GB.

    python -m tests.benchmarks.many --sessions 15000
    python -m tests.benchmarks.many --sessions 16500 --workers 6 --peer asgi_push_redis
    python -m tests.benchmarks.many --sessions 15000 --spare      # with the function of docs/guides/deploying.md
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from . import machine, over_redis, peers, process
from .crowd import Crowd, StreamError
from .frames import text_frame
from .process import Server
from .publication import publication

_HEARTBEAT = 25.0  # seconds between two heartbeats of a page
_BEATS = 500  # heartbeats a second while they are measured: that many are answered one after the other
_PUBLICATIONS = 5  # of which the median is taken
_SIZE = 128  # of a publication, in bytes
_PATIENCE = 60  # for the last client of a publication, in seconds


class Client:
    """The load client of one worker."""

    def __init__(self, peer: str, server: Server, sessions: int) -> None:
        self._server = server
        self._sessions = sessions
        self._crowd = Crowd(peers.load(peer), server)

    def connect(self) -> dict[str, float]:
        """Open all connections; the first tenth pays for modules and pools, and is not in the memory of a session."""
        few = self._sessions // 10
        self._crowd.grow(few)
        memory, objects = self._server.memory(), self._ask("collect")["objects"]
        self._ask("take_holds")
        self._crowd.grow(self._sessions)
        holds = self._ask("take_holds")
        collected = self._ask("collect")
        self._ask("take_holds")
        more = self._sessions - few
        return {
            "kB of memory": (self._server.memory() - memory) / more / 1024,
            "objects that a full collection looks at": (collected["objects"] - objects) / more,
            "ms of a full collection, of CPU": collected["cpu"] * 1e3,
            "ms of the longest hold as they came, of CPU": holds["cpu"] * 1e3,
        }

    def beat(self) -> dict[str, float]:
        """Send heartbeats, one after the other."""
        count, before = _BEATS * 4, self._server.cpu()
        self._crowd.beat(count, _BEATS)
        cpu = (self._server.cpu() - before) / count
        share = cpu * self._sessions / _HEARTBEAT
        return {"us of CPU of a heartbeat": cpu * 1e6, "% of a core for a heartbeat each 25 s": share * 100}

    def take(self, number: int) -> float:
        """Take one publication on each connection; return when the last one was there."""
        frame = text_frame(peers.compact(publication(number, _SIZE)).encode())
        left, until = self._sessions, time.monotonic() + _PATIENCE
        sockets = {sock.fileno(): sock for sock in self._crowd.sockets}
        while left:
            if time.monotonic() > until:
                raise StreamError(f"{left} connections have not got number {number}")
            for fd, _ in self._crowd.poll():
                if fd in sockets and (got := sockets[fd].recv(4096)) != frame:
                    raise StreamError(f"{got!r} is not number {number}")
                left -= fd in sockets
        return time.monotonic()

    def holds(self) -> dict[str, float]:
        """Return the longest hold since the connections are there."""
        return {"ms of the longest hold with all there, of CPU": self._ask("take_holds")["cpu"] * 1e3}

    def _ask(self, what: str) -> dict[str, Any]:
        self._server.command(what)
        return self._server.reply()


def _serve_client(peer: str, server: Server, sessions: int, orders: Connection) -> None:
    """Do what is ordered, with a client of its own, in a process of its own."""
    machine.pin(machine.CLIENT_CORE)
    client = Client(peer, server, sessions)
    while True:  # it is a daemon, which ends with the process that orders
        name, *arguments = orders.recv()
        try:
            orders.send(getattr(client, name)(*arguments))
        except Exception as error:
            orders.send(error)
            raise


class Clients:
    """The load clients of all workers, one process each."""

    def __init__(self, peer: str, servers: Sequence[Server], sessions: int) -> None:
        self._orders: list[Connection] = []
        fork = multiprocessing.get_context("fork")
        for server in servers:
            ours, theirs = fork.Pipe()
            fork.Process(target=_serve_client, args=(peer, server, sessions, theirs), daemon=True).start()
            theirs.close()
            self._orders.append(ours)

    def tell(self, *order: Any) -> None:
        for orders in self._orders:
            orders.send(order)

    def answers(self) -> list[Any]:
        found = [orders.recv() for orders in self._orders]
        for answer in found:
            if isinstance(answer, Exception):
                raise answer
        return found


def measure(peer: str, workers: int, sessions: int, *, spare: bool) -> dict[str, float]:
    """Return the figures of a crowd: of the worker for which each is the largest."""
    with ExitStack() as stack:
        if peer.endswith("_redis"):
            stack.enter_context(over_redis.redis())
        servers = [stack.enter_context(process.start(peer)) for _ in range(workers)]
        for server in servers:
            for order in ["watch_holds", *(["spare"] if spare else [])]:
                server.command(order)
                server.reply()
        clients = Clients(peer, servers, sessions)
        figures: dict[str, float] = {"sessions": workers * sessions}
        for step in ("connect", "beat"):
            clients.tell(step)
            for answer in clients.answers():
                figures |= {name: max(value, figures.get(name, 0.0)) for name, value in answer.items()}
        if peer != "bare":
            times = [_publish(clients, servers[0], number) for number in range(_PUBLICATIONS)]
            figures["s from a publication to its last client"] = statistics.median(times)
        clients.tell("holds")
        for answer in clients.answers():
            figures |= {name: max(value, figures.get(name, 0.0)) for name, value in answer.items()}
    return figures


def _publish(clients: Clients, server: Server, number: int) -> float:
    """Publish once; return the seconds until the last client has it."""
    clients.tell("take", number)
    server.command("burst", first=number, count=1, size=_SIZE, tick=1, seconds=_PATIENCE)
    last = max(clients.answers())
    return last - server.reply()["started"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.many", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--sessions", type=int, default=5000, help="of each worker (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--peer", default="asgi_push_users", help="bare, or one with the plain protocol (%(default)s)")
    parser.add_argument("--spare", action="store_true", help="let full collections spare what lived through one")
    arguments = parser.parse_args()
    # A client that has sent a heartbeat must send more. Those of a large crowd cannot keep that up on a busy machine.
    os.environ["ASGI_PUSH_IDLE_TIMEOUT"] = "3600"
    limit = machine.raise_file_limit()
    if arguments.sessions > limit - 200:
        sys.exit(f"a process may have {limit:,} open files here, and one worker needs one for each session: ulimit -n")
    for name, value in measure(arguments.peer, arguments.workers, arguments.sessions, spare=arguments.spare).items():
        print(f"{value:12,.2f} {name}")


if __name__ == "__main__":
    main()
