"""A thousand publications through cuts and restarts: each client has all of them, in order and once, or was told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from tests.endpoints.centrifuge.clients import KINDS, Client, Seen, token
from tests.endpoints.centrifuge.conftest import APP, OpenClient
from tests.endpoints.centrifuge.proxy import Proxy, proxy_for
from tests.servers import Serve, Server, free_port

COUNT = 1000
GIVEN = "long:given"  # by the token
ASKED_FOR = ["long:count", "short:count"]  # one whose history keeps them all, and one that keeps ten
CHANNELS = [GIVEN, *ASKED_FOR]


def start_counting(server: Server) -> None:
    httpx.post(f"{server.http}/count", json={"to": COUNT, "channels": CHANNELS})


def open_all(open_client: OpenClient, url: str, **limits: float) -> list[Client]:
    """Return a client of each kind, in all channels."""
    clients = [open_client(kind, token("11", channels=[GIVEN]), url=url, **limits) for kind in KINDS]
    for client in clients:
        client.connect()
        for channel in ASKED_FOR:
            client.subscribe(channel)
        client.until(lambda client=client: times_subscribed(client), "subscription by the token")
    return clients


def times_subscribed(client: Client) -> int:
    """Return how often it has been in all channels."""
    return min(len(client.all("subscribed", channel=channel)) for channel in CHANNELS)


def reset(proxy: Proxy, clients: list[Client]) -> None:
    """Cut all off until each has noticed, and let them in again."""
    proxy.cut()
    for client in clients:
        client.until(lambda client=client: is_connecting(client), "word of the cut")
    proxy.restore()


def is_connecting(client: Client) -> bool:
    """Whether it has lost its connection; on a slow machine one may have done so before it is cut off."""
    states = [event["event"] for event in client.events if event["event"] in ("connecting", "connected")]
    return states[-1] == "connecting"


def silence(proxy: Proxy, clients: list[Client]) -> None:
    """Have nothing come through any more on what is open, which is noticed when a ping stays out."""
    proxy.silence()


Cut = Callable[[Proxy, list[Client]], None]

# What notices a silence, in seconds. A busy machine is silent for as long now and then.
NOTICING = {"ping_delay": 3.0, "timeout": 5.0}


@pytest.mark.parametrize(("cut", "times"), [(reset, 5), (silence, 1)])
def test_the_connection_is_cut(serve: Serve, open_client: OpenClient, cut: Cut, times: int) -> None:
    """Cut off again and again while publications go on, by a reset or by silence, each client gets what it missed; and
    where the history is too short for that, it is told so."""
    with ExitStack() as stack:
        server = stack.enter_context(serve(APP))
        proxy = stack.enter_context(proxy_for(server.port))
        clients = open_all(open_client, proxy.url, **(NOTICING if cut is silence else {}))
        start_counting(server)
        for number in range(1, times + 1):
            clients[0].wait_until_at("long:count", number * COUNT // 10)
            before = [times_subscribed(client) for client in clients]
            cut(proxy, clients)
            for client, seen in zip(clients, before, strict=True):
                client.until(lambda client=client, seen=seen: times_subscribed(client) > seen, "reconnection")
        for client in clients:
            for channel in CHANNELS:
                client.wait_until_at(channel, COUNT)
            given, long, short = (Seen.of(client.events, channel) for channel in CHANNELS)
            assert (given.offset, long.offset, short.offset) == (COUNT, COUNT, COUNT)
            assert given.gaps == long.gaps == 0
            assert min(given.recoveries, long.recoveries, short.gaps + short.recoveries) >= times
        if cut is silence:  # which lasts for longer than ten publications
            assert all(Seen.of(client.events, "short:count").gaps for client in clients)


def test_the_server_is_killed(serve: Serve, open_client: OpenClient) -> None:
    """The server dies amid the publications and is started again: each client comes back, is told that what was
    published is not known any more, and sees all that comes from then on."""
    port = free_port()
    with serve(APP, port=port) as server:
        clients = open_all(open_client, server.ws)
        start_counting(server)
        clients[0].wait_until_at("long:count", COUNT // 3)
        for client in clients:  # the slowest ones may not have begun
            client.wait_until_at("long:count", 1)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    lives = []
    for client in clients:
        client.wait("connecting")
        lives.append(Seen.of(client.events, "long:count").offset)
    with serve(APP, port=port) as server:
        start_counting(server)
        for client in clients:
            for channel in CHANNELS:
                client.until(lambda client=client, channel=channel: told(client, channel), "word of the gap")
                client.wait_until_at(channel, COUNT)
                seen = Seen.of(client.events, channel)
                assert seen.offset == COUNT
                # On a slow machine one may miss a ping and come back once more; what is short has another gap then.
                assert seen.gaps == 1 or (seen.gaps and channel == "short:count")
    assert all(0 < offset <= COUNT for offset in lives)


def told(client: Client, channel: str) -> bool:
    """Whether it was told that it could not go on from where it was."""
    return bool(client.all("subscribed", channel=channel, was_recovering=True, recovered=False))
