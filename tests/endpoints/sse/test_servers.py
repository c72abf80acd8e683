"""Everything that an event stream promises, on every server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.endpoints.sse.streams import call, ended, publish, refused, sessions, stream
from tests.servers import KINDS, Serve, Server

pytestmark = pytest.mark.usefixtures("server")


# The WebSocket implementations of uvicorn are nothing to it, the HTTP ones are; `inside`: by add_middleware.
SERVERS = [kind for kind in KINDS if kind != "uvicorn-wsproto"] + ["uvicorn-sansio h11", "uvicorn-sansio inside"]


@pytest.fixture(scope="module", params=SERVERS)
def server(serve: Serve, request: pytest.FixtureRequest) -> Iterator[Server]:
    kind, _, how = request.param.partition(" ")
    env = {
        "ASGI_PUSH_SSE": "true",
        "ASGI_PUSH_MAX_SESSIONS_PER_USER": "2",
        **({"INSIDE": "1"} if how == "inside" else {}),
    }
    with serve(
        "tests.endpoints.sse.app:app", kind=kind, env=env, args=["--http", "h11"] if how == "h11" else []
    ) as server:
        yield server


def test_all_arrives_at_once_and_in_order(server: Server) -> None:
    """The first bytes before there is any event, and then each one; a session like any other."""
    with stream(server, "user=ann&channels=news,sport") as events:
        assert events.headers["content-type"] == "text/event-stream; charset=utf-8"
        (session,) = sessions(server, "ann")
        assert (session["protocol"], session["channels"]) == ("sse", ["*", "#ann", "news", "sport"])
        assert session["direct"] is server.kind.startswith("uvicorn")
        sent = publish(server, "news", 200) + publish(server, "sport", 3)
        call(server, "/send/ann", {"order": 1})
        call(server, "/send/ann", "two\nlines")
        assert events.take(205) == [*sent, '{"order":1}', "two\nlines"]


def test_a_client_that_leaves_is_gone(server: Server) -> None:
    """Its end of the connection is noticed with nothing sent."""
    with stream(server, "user=bob"):
        assert len(sessions(server, "bob")) == 1
    assert ended(server, "bob") == [1006]


def test_a_stream_goes_on_where_it_was(server: Server) -> None:
    """After the id of any event comes everything that followed, once; in each channel."""
    with stream(server, "user=cat&channels=a1,a2") as events:
        before = publish(server, "a1", 3) + publish(server, "a2", 3)
        got = [events.next() for _ in before]
        ids = [event.id for event in got if event]
    ended(server, "cat")
    missed = publish(server, "a1", 3, 3) + publish(server, "a2", 2, 3)
    with stream(server, "user=cat&channels=a1,a2", ids[-1]) as events:
        assert events.take(5) == missed
        assert publish(server, "a1", 1, 6) == events.take(1)
    ended(server, "cat")
    with stream(server, "user=cat&channels=a1,a2", ids[1]) as events:
        assert sorted(events.take(10)) == sorted([*before[2:], *missed, "a1 6"])


def test_nothing_to_go_on_from(server: Server) -> None:
    """An id of another life of the server, or none of ours, is told as a gap in the channels that it had."""
    with stream(server, "user=dan&channels=b1") as events:
        last_id = events.reader.last_id
    other = last_id.rsplit(".", 1)[0] + ".OTHER"
    with stream(server, "user=dan&channels=b1,b2", other) as events:
        gap = events.next()
        assert gap is not None
        assert (gap.name, gap.data) == ("gap", '{"channels":["b1"]}')
    with stream(server, "user=dan&channels=b1", "not one of ours") as events:
        gap = events.next()
        assert gap is not None
        assert gap.data == '{"channels":["*","#dan","b1"]}'


def test_another_users_id_opens_nothing(server: Server) -> None:
    """Where the other was in channels that this one is not in stays the other's."""
    with stream(server, "user=eve") as events:
        last_id = events.reader.last_id
    call(server, "/send/eve", "for eve only")
    with stream(server, "user=mallory&channels=c1", last_id) as events:
        publish(server, "c1")
        assert events.take(1) == ["c1 0"]
    with stream(server, "user=eve", last_id) as events:
        assert events.take(1) == ["for eve only"]


def test_the_server_ends_a_stream(server: Server) -> None:
    """With what was sent before and the reason; a browser that is to come back is told when."""
    with stream(server, "user=fay") as events:
        last_id, retry = events.reader.last_id, events.reader.retry
        call(server, "/send/fay", "before")
        call(server, "/disconnect/fay", {"code": 4005, "reason": "asked for"})
        assert events.take(1) == ["before"]
        end = events.next()
        assert end is not None
        assert (end.name, end.data, end.id != last_id) == ("disconnect", '{"code":4005,"reason":"asked for"}', True)
        assert end.retry
        assert retry
        assert events.next() is None
    assert ended(server, "fay") == [4005]


def test_a_browser_that_is_to_stay_away_does(server: Server) -> None:
    """It comes back with the id that it got, and 204 tells it to stop."""
    with stream(server, "user=gus") as events:
        call(server, "/disconnect/gus", {"code": 4505, "reason": "no more"})
        assert events.take(1) == ['{"code":4505,"reason":"no more"}']
        assert events.next() is None
    assert refused(server, "user=gus", {"Last-Event-ID": events.reader.last_id}).status_code == 204
    assert sessions(server, "gus") == []


def test_who_may_not_come_in(server: Server) -> None:
    """A status and a reason."""
    for query, status, reason in [
        ("", 401, "credentials are missing"),
        ("user=hal&channels=secret1,news", 403, "a channel is not allowed"),
        ("user=hal&channels=" + "x" * 300, 403, "channel: must be"),
    ]:
        answer = refused(server, query)
        assert (answer.status_code, answer.text[: len(reason)]) == (status, reason)
    with stream(server, "user=hal"), stream(server, "user=hal"):
        answer = refused(server, "user=hal")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    ended(server, "hal")


def test_what_a_browser_page_is_told(server: Server) -> None:
    """A foreign one may not; one of the same host may read the answer, and ask before."""
    foreign, own = {"Origin": "https://evil.example"}, {"Origin": server.http}
    answer = refused(server, "user=ida", foreign)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert refused(server, "user=ida", {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    with stream(server, "user=ida", headers=own) as events:
        assert events.headers["access-control-allow-origin"] == server.http
        assert events.headers["access-control-allow-credentials"] == "true"
    answer = httpx.options(f"{server.http}/push/events", headers={**own, "Access-Control-Request-Method": "GET"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, server.http)
    assert refused(server, "", own).headers["access-control-allow-origin"] == server.http
    assert httpx.post(f"{server.http}/push/events").status_code == 405


def test_the_application_changes_the_channels(server: Server) -> None:
    """What it is put into is in the next id, what it is taken out of is not."""
    with stream(server, "user=joe") as events:
        call(server, "/channels/joe/d1", method="PUT")
        assert publish(server, "d1") == events.take(1)
        call(server, "/channels/joe/d2", method="PUT")
        call(server, "/channels/joe/d1", method="DELETE")
        publish(server, "d1", 1, 1)
        assert publish(server, "d2") == events.take(1)
        last_id = events.reader.last_id
    missed = publish(server, "d2", 1, 1)
    with stream(server, "user=joe&channels=d1,d2", last_id) as events:
        assert events.take(1) == missed
        assert publish(server, "d1", 1, 2) == events.take(1)


def test_a_long_burst_to_many(server: Server) -> None:
    """Publishers faster than ten clients: each gets all, once, in order."""
    with ExitStack() as stack:
        streams = [stack.enter_context(stream(server, f"user=kay{n}&channels=e1")) for n in range(10)]
        sent = publish(server, "e1", 1500)
        for events in streams:
            assert events.take(1500) == sent
