"""What it costs to let clients in: the CPU of a connect, and a storm of those who come back at once."""

import time
from contextlib import AbstractContextManager, nullcontext

from . import over_redis, peers, process
from .arrivals import Arrivals, arriving
from .process import Server
from .running import Case, Figures

_TOGETHER = 100  # handshakes at the same time
_STORM = 1500  # in a storm: less than uvicorn's backlog of 2,048, above which the kernel makes clients wait a second
_WARM_UP = 500  # clients before those that are measured
_QUIET = 0.01  # less CPU than that in a tenth of a second: the server has nothing more to do, in seconds
_PATIENCE = 20  # for that, in seconds


def connects(case: Case) -> Figures:
    """Clients that connect, some at the same time, until each has what it waits for: the CPU of one."""
    peer = peers.load(case.peer)
    with _broker(case), process.start(case.peer) as server, arriving(peer, server) as arrivals:
        arrivals.come(_WARM_UP, _TOGETHER)
        _settle(server)
        before = server.cpu()
        seconds = arrivals.come(case.connections, _TOGETHER)
        _settle(server)
        cpu = server.cpu() - before
        _check(case, server, arrivals)
    return {"cpu_us": cpu / case.connections * 1e6, "connects": case.connections / seconds}


def storm(case: Case) -> Figures:
    """All clients at once, at a server that has just started: the time to the last welcome, and the longest hold."""
    peer = peers.load(case.peer)
    with _broker(case), process.start(case.peer) as server, arriving(peer, server) as arrivals:
        server.command("watch_holds")
        server.reply()
        before = server.cpu()
        seconds = arrivals.come(case.connections, _STORM)
        server.command("take_holds")
        holds = server.reply()
        cpu = server.cpu() - before
        _check(case, server, arrivals)
    return {
        "welcome_s": seconds,
        "hold_ms": holds["wall"] * 1e3,
        "hold_cpu_ms": holds["cpu"] * 1e3,
        "cpu_us": cpu / case.connections * 1e6,
    }


def _broker(case: Case) -> AbstractContextManager[None]:
    return over_redis.redis() if case.peer.endswith("_redis") else nullcontext()


def _settle(server: Server) -> None:
    """Wait until the server has nothing more to do: handlers go on after the handshake."""
    until, before = time.monotonic() + _PATIENCE, server.cpu()
    while time.monotonic() < until:
        time.sleep(0.1)
        now = server.cpu()
        if now - before < _QUIET:
            return
        before = now


def _check(case: Case, server: Server, arrivals: Arrivals) -> None:
    """See whether all are in: each gets what is published to everybody."""
    if case.peer != "bare":
        server.command("burst", first=0, count=1, size=case.size, tick=1, seconds=_PATIENCE)
        server.reply()
        arrivals.each_gets_one()
