"""A Redis that is stopped, started, paused and cut off, and clusters of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from redis import Redis as Client

from tests.asgi import PATIENCE
from tests.servers import HOST, Server, free_port, run_redis

# What makes Redis keep what it has answered for, whatever becomes of it.
KEEPING = ("--appendonly", "yes", "--appendfsync", "always")


class FaultyRedis:
    """One Redis at one port, whatever happens to it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}"
        self._folder = folder
        self._options = options
        self._stack = ExitStack()
        self._server: Server | None = None

    def start(self) -> None:
        """Start it, with the data that it kept."""
        self._server = self._stack.enter_context(run_redis(self._folder, *self._options, port=self.port))

    def kill(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        self._stack.close()
        self._server = None

    def pause(self) -> None:
        """It goes on to take connections, as far as the kernel does that, and answers nothing."""
        self._signal(signal.SIGSTOP)
        while psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)  # it may be in the middle of something

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._server is not None
        return self._server.process.pid

    def _signal(self, number: int) -> None:
        if self._server is not None:
            self._server.process.send_signal(number)

    def client(self) -> Client:
        """A connection of one's own."""
        return Client(port=self.port)

    def do(self, *command: Any) -> Any:
        """Carry out a command."""
        with self.client() as client:
            return client.execute_command(*command)

    def client_list(self, kind: str) -> Any:
        """Who is connected, by the kind of connection."""
        with self.client() as client:
            return client.client_list(kind)

    def kill_connections(self, kind: str) -> None:
        """Close all connections that are ``normal``, or those that are subscribed, ``pubsub``."""
        self.do("CLIENT", "KILL", "TYPE", kind)

    def close(self) -> None:
        if self._server is not None:
            self.kill()


@contextmanager
def faulty_redis(folder: Path, *options: str) -> Iterator[FaultyRedis]:
    """A Redis that runs."""
    redis = FaultyRedis(folder, *options)
    try:
        redis.start()
        yield redis
    finally:
        redis.close()


_SLOTS = 16_384

# How soon a node is taken for dead, in milliseconds: soon while the cluster comes up, which waits for that, and where
# one dies. Otherwise no node of a busy machine is.
_SOON, _NEVER = 500, 60_000


class Cluster:
    """Primaries that share all slots, and a replica of the first."""

    def __init__(self, folder: Path, primaries: int, replicas: int) -> None:
        options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            f"{_SOON}",
            "--repl-diskless-sync-delay",
            "0",
        ]
        self.nodes, self._buses = list[FaultyRedis](), list[int]()
        for number in range(primaries + replicas):
            place = folder / str(number)
            place.mkdir()
            # Not 10,000 above the other port: there an outgoing connection may be.
            bus = free_port()
            self.nodes.append(FaultyRedis(place, *options, "--cluster-port", f"{bus}"))
            self._buses.append(bus)
        self.primaries, self.replicas = self.nodes[:primaries], self.nodes[primaries:]

    @property
    def redis(self) -> str:
        return self.primaries[0].url

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.primaries):
            first, after = (_SLOTS * place // len(self.primaries) for place in (number, number + 1))
            node.do("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.do("CLUSTER", "MEET", HOST, self.nodes[0].port, self._buses[0])
        self.until(lambda: all(b"cluster_known_nodes:%d" % len(self.nodes) in self._info(node) for node in self.nodes))
        first_id = self.nodes[0].do("CLUSTER", "MYID")
        for replica in self.replicas:
            replica.do("CLUSTER", "REPLICATE", first_id)
        self.until(self.is_up)
        self.until(lambda: all(node.do("INFO", "replication")["master_link_status"] == "up" for node in self.replicas))
        if not self.replicas:  # nobody could take over
            for node in self.nodes:
                node.do("CONFIG", "SET", "cluster-node-timeout", _NEVER)

    def replicated(self) -> None:
        """Return when the first primary's replicas have what it has; what they have not is lost with it."""
        written = self.primaries[0].do("INFO", "replication")["master_repl_offset"]
        self.until(
            lambda: all(node.do("INFO", "replication")["slave_repl_offset"] >= written for node in self.replicas)
        )

    def is_up(self) -> bool:
        return all(b"cluster_state:ok" in self._info(node) for node in self.nodes)

    def _info(self, node: FaultyRedis) -> bytes:
        info: bytes = node.do("CLUSTER", "INFO")
        return info

    def until(self, happened: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, "the cluster did not come up"
            time.sleep(0.02)

    def move_slots_of_second(self) -> None:
        """All slots in which the second primary has anything go to the third."""
        giver, taker = self.primaries[1:3]
        ids = {node: node.do("CLUSTER", "MYID") for node in (giver, taker)}
        for slot in {giver.do("CLUSTER", "KEYSLOT", key) for key in giver.do("KEYS", "*")}:
            taker.do("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[giver])
            giver.do("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[taker])
            for key in giver.do("CLUSTER", "GETKEYSINSLOT", slot, 1000):
                giver.do("MIGRATE", HOST, taker.port, key, 0, 5000)
            for node in (taker, giver):
                node.do("CLUSTER", "SETSLOT", slot, "NODE", ids[taker])

    def close(self) -> None:
        for node in self.nodes:
            node.close()


@contextmanager
def cluster(folder: Path, *, primaries: int = 3, replicas: int = 0) -> Iterator[Cluster]:
    """A cluster that is up."""
    nodes = Cluster(folder, primaries, replicas)
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.close()
