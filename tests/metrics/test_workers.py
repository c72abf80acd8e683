"""Several workers behind one port, each asked at random: whichever answers tells of all."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import httpx
from websockets.sync.client import connect

from asgi_push import PushMiddleware
from tests import servers
from tests.asgi import nothing
from tests.live.talking import until
from tests.metrics.scraping import PLAIN, Stats, of, parse
from tests.servers import PATIENCE

SESSIONS = 12


def app() -> PushMiddleware:
    return PushMiddleware(nothing, path="/ws/{user_id}", metrics=True)


def scrape(server: servers.Server) -> Stats:
    answer = httpx.get(f"{server.http}/push/metrics")
    assert answer.status_code == 200
    return parse(answer.text)


def connects(found: Stats) -> float:
    """Before the first one there is no such sample."""
    return sum(value for name, value in found.items() if name.startswith("asgi_push_connects_total"))


def test_two_workers(serve: servers.Serve, tmp_path: Path) -> None:
    """Every scrape, whichever worker it meets, adds up the sessions of both, and no counter ever goes back."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "numbers")}
    with serve(app, env=env, args=["--factory", "--workers", "2"]) as server, ExitStack() as clients:
        until(lambda: server.log().count("startup complete") == 2)
        seen = [0.0]
        for number in range(SESSIONS):
            clients.enter_context(connect(f"{server.ws}/ws/{number}"))
            seen.append(connects(scrape(server)))
        assert seen == sorted(seen)
        until(lambda: connects(scrape(server)) == SESSIONS)  # the other worker writes its numbers once a second
        assert of(scrape(server), "sessions", **PLAIN, writes="direct") == SESSIONS
        until(lambda: len(list((tmp_path / "numbers").glob("*.json"))) == 2)
        clients.close()
        server.stop(PATIENCE)
    found = [path.read_bytes().count(b'"alive":false') for path in (tmp_path / "numbers").glob("*.json")]
    assert found == [1, 1]
