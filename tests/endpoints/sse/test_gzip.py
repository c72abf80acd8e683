"""Event streams in gzip: for whom, and that nothing waits in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.endpoints.sse.streams import call, publish, stream
from tests.endpoints.sse.test_browser import got, open_stream, wait
from tests.servers import Serve, Server

LONG = " and ".join(f"number {number}" for number in range(200))


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve("tests.endpoints.sse.app:app", env={"ASGI_PUSH_SSE": "true"}) as server:
        yield server


def test_long_events_are_short(server: Server) -> None:
    """Each can be read as soon as it is here, long ones come in a part of their size, and the end is as it should."""
    with stream(server, "user=ann&channels=news") as events:
        assert events.headers["content-encoding"] == "gzip"
        before = events.received
        for _ in range(5):
            call(server, "/send/ann", LONG)
            assert events.take(1) == [LONG]
            assert publish(server, "news", 3) == events.take(3)
        assert events.received - before < 5 * len(LONG) / 2
        call(server, "/disconnect/ann", {"code": 4500, "reason": "over"})
        assert events.take(1) == ['{"code":4500,"reason":"over"}']
        assert events.next() is None


@pytest.mark.parametrize("accepted", ["identity", "br, deflate", "gzip;q=0", "GZIP; Q=0.0, br"])
def test_not_for_whom_does_not_take_it(server: Server, accepted: str) -> None:
    """The events come as they are."""
    with stream(server, "user=bob", headers={"Accept-Encoding": accepted}) as events:
        assert "content-encoding" not in events.headers
        call(server, "/send/bob", LONG)
        assert events.take(1) == [LONG]


def test_not_with_compression_off(serve: Serve) -> None:
    """Nobody gets it then."""
    env = {"ASGI_PUSH_SSE": "true", "ASGI_PUSH_COMPRESSION": "off"}
    with serve("tests.endpoints.sse.app:app", env=env) as server, stream(server, "user=cat") as events:
        assert "content-encoding" not in events.headers


def test_in_a_page(server: Server, page: Page) -> None:
    """A browser hands out each event at once, long or short."""
    open_stream(page, server.http, "user=dan&channels=dogs")
    sent = []
    for number in range(5):
        call(server, "/send/dan", LONG)
        sent += [LONG, *publish(server, "dogs", 1, number)]
        wait(page, "count => got.length === count", len(sent))
    assert got(page) == sent


def test_what_was_missed_is_short(server: Server) -> None:
    """For each that comes back, though their ids differ."""
    sent = [f"{number} {LONG}" for number in range(5)]
    for user in ("eve", "fay"):
        for data in sent:
            call(server, f"/send/{user}", data)
        with stream(server, f"user={user}&since=start") as events:
            assert events.take(len(sent)) == sent
            assert events.received < len("".join(sent)) / 2
            call(server, f"/send/{user}", "and on")
            assert events.take(1) == ["and on"]


def test_what_was_missed_in_a_page(server: Server, page: Page) -> None:
    """A browser hands it out."""
    sent = [f"{number} {LONG}" for number in range(5)]
    for data in sent:
        call(server, "/send/gil", data)
    open_stream(page, server.http, "user=gil&since=start")
    call(server, "/send/gil", "and on")
    wait(page, "count => got.length === count", len(sent) + 1)
    assert got(page) == [*sent, "and on"]
