"""Two workers and one Redis: whichever of them answers, all of both is seen, and each can be drained."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests import servers
from tests.endpoints.console.app import KEY
from tests.endpoints.console.test_console import click_twice, enter, row, rows
from tests.live.talking import PLAIN, until
from tests.servers import PATIENCE, Server

# Clients of one worker.
_MOST = 20


@pytest.fixture
def server(serve: servers.Serve, redis: Server, request: pytest.FixtureRequest) -> Iterator[Server]:
    env = {"ASGI_PUSH_BROKER": redis.redis, "ASGI_PUSH_REDIS_PREFIX": request.node.name}
    args = ["--factory", "--workers", "2"]
    with serve("tests.endpoints.console.app:app", args=args, env=env) as server:
        until(lambda: server.log().count("startup complete") == 2)
        yield server


def call(server: Server, method: str, **fields: object) -> Any:
    with httpx.Client(headers={"X-API-Key": KEY}, **PLAIN) as client:
        answer = client.post(f"{server.http}/push/api/{method}", json=fields).json()
    return answer.get("result", answer)


def counts(server: Server) -> dict[str, int]:
    return {node["uid"]: node["num_clients"] for node in call(server, "info")["nodes"]}


def both(server: Server) -> dict[str, int]:
    """The counts of both workers: on a busy machine an answer may come too late for one who asks."""
    return until(lambda: found if len(found := counts(server)) == 2 else None)


def sessions_of(server: Server, **fields: object) -> Any:
    """All sessions, or those of a process, once whoever has them has answered in time."""
    return until(lambda: found if (found := call(server, "sessions", **fields)).get("complete") else None)


@pytest.fixture
def clients(server: Server) -> Iterator[dict[str, ClientConnection]]:
    """Clients by their users, at least two on each worker, and fewer than the 50 rows that a page has.

    One worker may accept many before the other accepts any: who is too many there comes again.
    """
    with ExitStack() as stack:
        found: dict[str, ClientConnection] = {}
        names = (f"user-{number}" for number in count())

        def spread() -> bool:
            here = counts(server)
            if len(here) != 2 or sum(here.values()) != len(found):
                return False
            if max(here.values()) > _MOST:
                found.popitem()[1].close()
            elif min(here.values()) < 2:
                user = next(names)
                found[user] = stack.enter_context(connect(f"{server.ws}/ws/{user}?channels=news"))
            else:
                return True
            return False

        until(spread)
        yield found


def users_of(server: Server, process: str) -> list[str]:
    return [session["user"] for session in sessions_of(server, process=process)["sessions"]]


def closed(client: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(PATIENCE)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_console(server: Server, clients: dict[str, ClientConnection], page: Page) -> None:
    """One page shows the sessions of both workers or of one; it disconnects and drains, in either of them.

    A worker that is killed leaves the page within seconds; the other stays on it, with its sessions.
    """
    nodes = until(lambda: found if len(found := call(server, "info")["nodes"]) == 2 else None)
    pids = {node["uid"]: node["name"].rpartition("_")[2] for node in nodes}
    first, second = pids
    enter(page, server)
    expect(page.locator("#fact-process")).to_contain_text("2 on ")
    expect(rows(page)).to_have_count(len(clients))
    expect(page.get_by_role("radio", name=f"All 2: {len(clients)} sessions")).to_be_checked()
    for process in (first, second):
        users = users_of(server, process)
        page.get_by_role("radio", name=re.compile(f"Process {pids[process]}: ")).click()
        expect(rows(page)).to_have_count(len(users))
        for user in users:
            expect(row(page, user)).to_have_count(1)
        expect(page.locator("#fact-process")).to_contain_text(f"{pids[process]} on ")
    page.keyboard.press("c")
    page.get_by_role("radio", name=re.compile("All 2")).click()
    expect(page.locator("#rows tr", has_text="news").locator(".sessions")).to_have_text(f"{len(clients)}")
    page.keyboard.press("s")
    for process in (first, second):
        user = users_of(server, process)[0]
        expect(row(page, user).locator("td.process")).to_have_text(pids[process])
        click_twice(row(page, user).get_by_role("button", name=re.compile("Disconnect")))
        assert closed(clients.pop(user)) == 3503
        expect(row(page, user)).to_have_count(0)
    leaving, staying = users_of(server, first), users_of(server, second)
    page.get_by_role("radio", name=re.compile(f"Process {pids[first]}: ")).click()
    page.get_by_role("button", name="Drain").click()
    page.get_by_label("Over how many seconds").fill("0")
    page.locator("#drain-start").click()
    many = "session" if len(leaving) == 1 else "sessions"
    expect(page.locator("#drain-answer")).to_have_text(f"Drained: {len(leaving)} {many} sent away")
    assert [closed(clients[user]) for user in leaving] == [1012] * len(leaving)
    page.keyboard.press("Escape")
    page.get_by_role("radio", name=re.compile("All 2")).click()
    expect(page.locator("#fact-accepting")).to_have_text("refused by 1 of 2")
    expect(page.locator("#banner")).to_contain_text(f"Process {pids[first]} is draining")
    expect(rows(page)).to_have_count(len(staying))
    for user in staying:
        clients[user].send("ping")
        assert clients[user].recv(PATIENCE) == "pong"
    page.get_by_role("radio", name=re.compile(f"Process {pids[first]}: ")).click()
    os.kill(int(pids[first]), signal.SIGKILL)
    expect(page.get_by_role("radio", name=re.compile(f"Process {pids[first]}: "))).to_have_count(0)
    expect(page.locator("#line")).to_have_text("Live")
    expect(rows(page)).to_have_count(len(staying))


def test_api(server: Server, clients: dict[str, ClientConnection]) -> None:
    """The HTTP API lists the sessions of both, page by page, or of one; either of them is drained through any."""
    found = sessions_of(server)
    assert found["num_clients"] == len(clients)
    assert sorted(session["user"] for session in found["sessions"]) == sorted(clients)
    assert {session["process"] for session in found["sessions"]} == {node["uid"] for node in found["processes"]}
    ages = [session["connected"] for session in sessions_of(server, limit=3)["sessions"]]
    assert ages == sorted(ages, reverse=True)
    assert len(ages) == 3
    assert sessions_of(server, user="user-1")["num_clients"] == 1
    for process in both(server):
        leaving = users_of(server, process)
        assert call(server, "drain", process=process, over=0) == {"num_clients": len(leaving)}
        assert {closed(clients[user]) for user in leaving} == {1012}
    assert list(both(server).values()) == [0, 0]
    assert call(server, "sessions", process="nobody")["error"]["code"] == 107
