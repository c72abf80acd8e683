"""A case that runs: one server, its crowd, and the number of the next publication."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

from . import elsewhere, machine, peers, process
from .crowd import Arrived, Crowd, Due, connected
from .frames import Deflate, SharedDeflate, text_frame
from .learnt import LearntDue
from .process import Server
from .publication import publication

_PATIENCE = 30  # then a peer is measured by what it has delivered, in seconds

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """One peer under one workload."""

    peer: str
    connections: int = 1000
    size: int = 128  # of a publication, in bytes of JSON
    rate: float = 30.0  # paced: publications a second
    seconds: float = 2.0  # how long to measure
    workers: int = 1  # over Redis: who share the connections
    deflate: bool = False  # whether the client offers permessage-deflate


class Run:
    """A server with its connections, ready to be loaded."""

    def __init__(self, case: Case, server: Server, crowd: Crowd) -> None:
        peer = peers.load(case.peer)
        self.case = case
        self.server = server
        self.crowd = crowd
        self._text = peer.text
        self._frame = _framing(case, peer)
        self._learns = peer.learns
        self._next = 0

    def due_to_all(self, count: int) -> Due:
        """Tell the frames of the next publications, the same for everybody."""
        first, connections = self._next, self.case.connections
        self._next += count
        frames = self._frames(range(first, self._next))
        if self._learns:
            return LearntDue(first, frames, connections)
        return Due(first, [b"".join(frames)] * connections, list(accumulate(map(len, frames))))

    def due_to_users(self, rounds: int) -> Due:
        """Tell the frames of the next rounds, in which each user gets a message with a number of its own."""
        first, users = self._next, self.case.connections
        self._next += rounds
        streams = [self._frames(range(first * users + user, self._next * users, users)) for user in range(users)]
        return Due(first, [b"".join(frames) for frames in streams], list(accumulate(map(len, streams[0]))))

    def _frames(self, numbers: range) -> list[bytes]:
        return [self._frame(self._text(publication(seq, self.case.size)).encode()) for seq in numbers]

    def load(self, do: str, due: Due, *, note: bool = False, **arguments: float) -> tuple[Arrived, Figures]:
        """Have the server publish, take what is due, and return it with what it cost."""
        segments, cpu, own = self.crowd.segments(), self.server.cpu(), time.process_time()
        self.server.command(do, first=due.first, size=self.case.size, **arguments)
        arrived = self.crowd.receive(due, _PATIENCE, note=note)
        cpu, own = self.server.cpu() - cpu, time.process_time() - own
        elapsed = arrived.ended - arrived.reply["started"]
        self._next = due.first + arrived.reply["published"]
        delivered = arrived.bytes / due.mean
        return arrived, {
            "seconds": elapsed,
            "messages": delivered,
            "rate": delivered / elapsed,
            "publications": delivered / self.case.connections / elapsed,
            "writes": (self.crowd.segments() - segments) / elapsed,
            "wire_bytes": arrived.wire_bytes / max(delivered, 1),
            "cpu_us": cpu / max(delivered, 1) * 1e6,
            "server_share": cpu / elapsed,
            "client_share": own / elapsed,
            "complete": float(arrived.complete),
        }


def _framing(case: Case, peer: peers.Peer) -> Callable[[bytes], bytes]:
    """Return what makes of a message what the client compares."""
    if peer.reader:
        return lambda payload: payload + b"\n"
    if peer.learns:
        return bytes
    if case.deflate and peer.shares:
        return SharedDeflate()
    return Deflate() if case.deflate and peer.compresses else text_frame


@contextmanager
def running(case: Case) -> Iterator[Run]:
    """Start the server of a case and connect to it; all is gone at the end."""
    peer = peers.load(case.peer)
    core = machine.SERVER_CORE
    starting = elsewhere.start(peer.server, case.peer, core) if peer.server else process.start(case.peer, core)
    with (
        starting as server,
        connected(peer, server, case.connections, deflate=case.deflate) as crowd,
    ):
        yield Run(case, server, crowd)
