"""What a page in a real browser gets from an EventSource, whatever becomes of its connection."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page

from tests.endpoints.centrifuge.proxy import proxy_for
from tests.endpoints.sse.streams import call, publish, sessions, stream
from tests.live.talking import until
from tests.servers import Serve, free_port

SETTINGS = {"ASGI_PUSH_SSE": "true"}

# A page as anybody writes it: what came is kept with the times it was told that its stream is open.
SCRIPT = """query => {
    window.got = [];
    window.opened = 0;
    window.source = new EventSource("/push/events?" + query);
    source.onopen = () => window.opened++;
    source.onmessage = (event) => got.push(event.data);
    for (const name of ["gap", "disconnect", "binary"])
        source.addEventListener(name, (event) => got.push(name + " " + event.data));
}"""


def got(page: Page) -> list[str]:
    return list(page.evaluate("window.got"))


def wait(page: Page, condition: str, argument: Any = None) -> None:
    page.wait_for_function(condition, arg=argument)


def open_stream(page: Page, url: str, query: str) -> None:
    page.goto(url)
    page.evaluate(SCRIPT, query)
    wait(page, "window.opened >= 1")


def test_nothing_is_lost_when_the_network_is_cut(serve: Serve, page: Page) -> None:
    """What was published meanwhile comes when the browser is back, in order, once, and nothing is told of a gap."""
    with serve("tests.endpoints.sse.app:app", env=SETTINGS) as server, proxy_for(server.port) as proxy:
        open_stream(page, f"http://127.0.0.1:{proxy.port}/", "user=ann&channels=news")
        sent = publish(server, "news", 5)
        wait(page, "got.length === 5")
        for start in (5, 10):
            opened = page.evaluate("window.opened")
            proxy.cut()
            until(lambda: not sessions(server, "ann"))
            sent += publish(server, "news", 5, start)
            proxy.restore()
            wait(page, "before => window.opened > before", opened)
            wait(page, "count => got.length >= count", len(sent))
        sent += publish(server, "news", 1, 15)
        wait(page, "count => got.length >= count", len(sent))
        assert got(page) == sent


def test_a_restart_is_told_as_a_gap(serve: Serve, page: Page) -> None:
    """The server of one process forgets what it kept: the page is told in which channels, and goes on."""
    port = free_port()
    with serve("tests.endpoints.sse.app:app", port=port, env=SETTINGS) as server:
        open_stream(page, server.http, "user=bob&channels=news")
        sent = publish(server, "news", 2)
        wait(page, "got.length === 2")
        server.stop()
    with serve("tests.endpoints.sse.app:app", port=port, env=SETTINGS) as server:
        wait(page, "window.opened === 2")
        wait(page, "got.length === 4")
        after = publish(server, "news", 1, 10)
        wait(page, "got.length === 5")
        *before, end, gap, last = got(page)
    assert before == sent
    assert json.loads(end.removeprefix("disconnect ")) == {"code": 3001, "reason": "shutdown"}
    assert json.loads(gap.removeprefix("gap ")) == {"channels": ["*", "#bob", "news"]}
    assert [last] == after


def test_who_is_to_stay_away_does(serve: Serve, page: Page) -> None:
    """A browser comes back of itself, once, is told to stop, and stops."""
    with serve("tests.endpoints.sse.app:app", env=SETTINGS) as server:
        open_stream(page, server.http, "user=cat")
        call(server, "/disconnect/cat", {"code": 4505, "reason": "no more"})
        wait(page, "source.readyState === EventSource.CLOSED")
        assert got(page) == ['disconnect {"code":4505,"reason":"no more"}']
        assert sessions(server, "cat") == []


def test_who_is_to_come_later_does(serve: Serve, page: Page) -> None:
    """A browser gives up at any status but 200; so this one is told to come back, and comes."""
    with serve("tests.endpoints.sse.app:app", env={**SETTINGS, "ASGI_PUSH_MAX_SESSIONS_PER_USER": "1"}) as server:
        with stream(server, "user=dan"):
            open_stream(page, server.http, "user=dan")
            wait(page, "got.length >= 1")  # it comes again and again
            assert json.loads(got(page)[0].removeprefix("disconnect "))["code"] == 1013
        wait(page, "window.opened > 1")
        until(lambda: sessions(server, "dan"))
