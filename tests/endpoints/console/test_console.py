"""The console in a real browser, on a real server: who gets in, what is shown, and what is done."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from asgi_push.endpoints.console.login import COOKIE, Forged, expiry, issue
from tests import servers
from tests.endpoints.console.app import KEY
from tests.metrics.scraping import of, parse
from tests.servers import PATIENCE, Server

PATH = "/push/console"


def serve_console(serve: servers.Serve, **env: str) -> Any:
    return serve("tests.endpoints.console.app:app", args=["--factory"], env=env)


@pytest.fixture(scope="module")
def server(serve: servers.Serve) -> Iterator[Server]:
    with serve_console(serve) as server:
        yield server
        assert "Traceback" not in server.log()
        assert KEY not in server.log()


@pytest.fixture(scope="module")
def crowd(serve: servers.Serve) -> Iterator[Server]:
    """A server with 10,000 sessions and their traffic."""
    with serve_console(serve, MADE_UP="10000", BUSY="1") as server:
        yield server
        assert "Traceback" not in server.log()


def enter(page: Page, server: Server) -> None:
    page.context.add_cookies([{"name": COOKIE, "value": issue(KEY, time.time()), "url": server.http + PATH}])
    page.goto(server.http + PATH)
    expect(page.locator("#line")).to_have_text("Live")


def rows(page: Page) -> Locator:
    return page.locator("#rows tr")


def row(page: Page, user: str) -> Locator:
    return page.locator("#rows tr", has=page.get_by_role("button", name=user, exact=True))


def click_twice(button: Locator) -> str:
    """Click and click again, before the question goes away, which it does after 3 s; return the question."""
    button.click(trial=True)
    twice = "(button) => { button.click(); const asked = button.textContent; button.click(); return asked; }"
    return str(button.evaluate(twice))


# -- who gets in --------------------------------------------------------------------------------------------------


def test_login(server: Server, page: Page) -> None:
    """The key opens the console; what stands for it is a cookie that no script, and no other site, can use."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(server.http + PATH)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#line")).to_have_text("Live")
    (cookie,) = page.context.cookies()
    assert cookie["name"] == COOKIE
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", PATH)
    assert KEY not in cookie["value"]
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.values(localStorage).concat(Object.values(sessionStorage))") == []
    page.reload()
    expect(page.locator("#line")).to_have_text("Live")
    assert all(url.startswith(server.http) for url in requests), "nothing comes from elsewhere"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.context.cookies() == []


def test_wrong_key(serve: servers.Serve, page: Page) -> None:
    """A wrong key is refused, and after five of them each has to wait; the right one is let in all the same."""
    with serve_console(serve) as server:
        page.goto(server.http + PATH)
        for _ in range(5):
            page.get_by_label("API key").fill("wrong")
            with page.expect_response(re.compile("login")) as answer:
                page.get_by_role("button", name="Log in").click()
            assert answer.value.status == 401
            expect(page.locator("#answer")).to_have_text("This is not the api_key.")
            expect(page.get_by_role("button", name="Log in")).to_be_enabled()
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#answer")).to_have_text(re.compile(r"Too many tries. Wait \d+ s."))
        assert page.context.cookies() == []
        assert log_in(server).status_code == 204
        assert "a wrong key for the console from '127.0.0.1'" in server.log()
        assert "wrong'" not in server.log()


def log_in(server: Server, **headers: str) -> httpx.Response:
    sent = {"origin": server.http, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(f"{server.http}{PATH}/login", json={"key": KEY}, headers=sent)


def test_secure_behind_tls(server: Server) -> None:
    """Where the browser came by https, by the server's own word or its page's origin, the cookie stays with https."""
    port = server.port
    secure = log_in(server, origin=f"https://127.0.0.1:{port}", host=f"127.0.0.1:{port}")
    assert "; Secure" in secure.headers["set-cookie"]
    assert "; Secure" not in log_in(server).headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"content_type": "text/plain"}, 415),
        ({}, 204),
    ],
)
@pytest.mark.parametrize("action", ["login", "logout"])
def test_other_sites_are_refused(server: Server, action: str, headers: dict[str, str], status: int) -> None:
    """A request that another site's page can make a browser send does nothing, though it has the right key."""
    sent = {"origin": server.http} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = httpx.post(f"{server.http}{PATH}/{action}", json={"key": KEY}, headers=sent)
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) is (status == 204)


def open_feed(server: Server, value: str, origin: str | None) -> ClientConnection:
    headers = {"Cookie": f"{COOKIE}={value}"}
    return connect(f"{server.ws}{PATH}/live", additional_headers=headers, origin=origin)  # type: ignore[arg-type]


def test_feed_is_only_for_who_logged_in(server: Server) -> None:
    """Without a good cookie, or from another page than the console's own, there is no feed, and nothing can be done."""
    value = log_in(server).cookies[COOKIE]
    with open_feed(server, value, server.http) as feed:
        assert "server" in str(feed.recv(PATIENCE))
    until, random, signature = value.split(".")
    forged = [f"{int(until) + 1}.{random}.{signature}", f"{until}.x.{signature}", f"{until}.{random}.", "", "x.y.z"]
    expired = issue(KEY, 0.0)
    for wrong in [*forged, expired, issue("another key", 4e9)]:
        with pytest.raises(InvalidStatus) as refused:
            open_feed(server, wrong, server.http)
        assert refused.value.response.status_code == 401
    for origin in ("https://elsewhere.example", None):
        with pytest.raises(InvalidStatus) as refused:
            open_feed(server, value, origin)
        assert refused.value.response.status_code == 403


def test_feed_reaches_nobody_else(server: Server, page: Page) -> None:
    """A console is in no channel and in no list: what it is sent, others do not get, nor it what others are sent."""
    enter(page, server)
    expect(page.locator("#none-text")).to_contain_text("Nobody is connected")
    with connect(f"{server.ws}/ws/alice?channels=console,%23,console:live") as alice:
        expect(rows(page)).to_have_count(1)
        expect(page.locator("#fact-uptime")).not_to_have_text(page.locator("#fact-uptime").text_content() or "")
        alice.send("ping")
        assert alice.recv(PATIENCE) == "pong", "nothing came before it"
        answer = httpx.post(f"{server.http}/push/api/info", json={}, headers={"X-API-Key": KEY}).json()
        assert answer["result"]["nodes"][0]["num_clients"] == 1
        page.get_by_role("button", name="Publish", exact=True).first.click()
        page.locator("#publish-channel").fill("*")
        page.locator("#publish-send").click()
        expect(page.locator("#publish-answer")).to_have_text(re.compile(r"Published at offset \d+, to 1 session"))


def test_off_unless_turned_on(serve: servers.Serve) -> None:
    """Without the setting there is neither page nor feed."""
    with serve("tests.asgi:nothing") as server:
        assert httpx.get(server.http + PATH).status_code == 500  # which is how that application says: not mine


def test_files(server: Server) -> None:
    """Files are kept until they change; nothing but the page's own can be had, and no script in the page may run."""
    first = httpx.get(f"{server.http}{PATH}/app.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = httpx.get(f"{server.http}{PATH}/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    page = httpx.get(server.http + PATH)
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for name in ("index.html", "serve.py", "..%2fserve.py", "nothing"):
        assert httpx.get(f"{server.http}{PATH}/{name}").status_code == 404
    assert httpx.get(f"{server.http}{PATH}/").headers["location"] == "../console"
    assert httpx.post(server.http + PATH).status_code == 405
    assert httpx.get(f"{server.http}{PATH}/login").status_code == 405


def test_value() -> None:
    """A login ends; one that another key has signed never began."""
    value = issue("k", 1000.0)
    assert expiry("k", value, 1000.0) == 1000 + 12 * 60 * 60
    assert expiry("k", value, 1000.0 + 12 * 60 * 60) is None
    with pytest.raises(Forged):
        expiry("another", value, 1000.0)


# -- what is shown ------------------------------------------------------------------------------------------------


def test_search(crowd: Server, page: Page) -> None:
    """Ten thousand sessions are paged, sorted and searched by the server; the page draws one page of them."""
    enter(page, crowd)
    expect(rows(page)).to_have_count(50)
    assert page.evaluate("document.querySelectorAll('*').length") < 2000
    expect(page.locator("#range")).to_have_text(re.compile(r"^1.50 of 10,\d{3} sessions$|^1.50 of 9,9\d\d sessions$"))
    page.locator("#search").fill("USER-less text")
    expect(page.locator("#none-text")).to_have_text("No session matches “USER-less text”.")
    page.get_by_role("button", name="Clear the search").click()
    page.locator("#search").fill("10.3.1")
    expect(page.locator("#range")).to_contain_text("in all")
    expect(rows(page).first).to_contain_text("10.3.1")
    page.locator("#search").press("Escape")
    page.locator("th.age button").click()
    expect(rows(page).first.locator(".age")).to_have_text(re.compile(" h "))
    page.keyboard.press("]")
    expect(page.locator("#range")).to_have_text(re.compile("^51.100 of"))
    page.keyboard.press("c")
    expect(rows(page)).to_have_count(8)
    page.get_by_label("Users' own").check()
    expect(page.locator("#range")).to_have_text(re.compile(r"^1.50 of \d+,\d{3} channels$"))
    page.get_by_label("Users' own").uncheck()
    page.get_by_role("button", name="scores:tennis", exact=True).click()
    page.get_by_role("button", name="Show its sessions").click()
    expect(page.get_by_role("button", name="Only sessions in scores:tennis: show all")).to_be_visible()
    expect(page.locator("#range")).to_have_text(re.compile(r"^1.50 of [12],\d{3} sessions, "))


def test_charts_move(crowd: Server, page: Page) -> None:
    """Each second is drawn as it comes; the keyboard and the pointer find a moment, on all charts at once."""
    enter(page, crowd)
    picture = "[...document.querySelectorAll('canvas')].slice(0, 4).map((canvas) => canvas.toDataURL())"
    first = page.evaluate(picture)
    page.wait_for_function(
        f"(first) => {picture}.every((now, place) => place === 0 || now !== first[place])", arg=first
    )
    deliveries = page.locator("[data-chart=Deliveries]")
    expect(deliveries.locator("strong")).to_have_text(re.compile(r"^\d{1,3}(,\d{3})?/s$"))
    deliveries.locator("canvas").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#moment")).to_have_text(re.compile(r"^At \d\d:\d\d:\d\d$"))
    page.keyboard.press("Escape")
    expect(page.locator("#moment")).to_have_text(re.compile("^The last"))


def test_session_and_channel(crowd: Server, page: Page) -> None:
    """Behind a row is all that is known of it, and from there one gets further."""
    enter(page, crowd)
    page.locator("#search").fill("10.0.")
    expect(rows(page).first).to_contain_text("10.0.")
    rows(page).first.get_by_role("button").first.click()
    expect(page.locator("#session-facts")).to_contain_text("10.0.")
    expect(page.locator("#session-known")).to_contain_text('"plan"')
    page.locator("#session-channels").get_by_role("button", name="*", exact=True).click()
    expect(page.locator("#channel-title")).to_have_text("*")
    expect(page.locator("#channel-facts")).to_contain_text("100 for 5 min after the last")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.get_by_role("button", name="news", exact=True).click()
    expect(page.locator("#channel-publications li").first).to_contain_text("Goal in the 87th minute")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="prices:eur-usd", exact=True).click()
    expect(page.locator("#channel-none")).to_have_text("This channel keeps no history.")


def test_event_stream(server: Server, page: Page) -> None:
    """An event stream is named once, and a client behind a proxy that names it has no port."""
    enter(page, server)
    headers = {"X-Forwarded-For": "192.0.2.7"}
    with httpx.stream("GET", f"{server.http}/push/events", headers=headers, timeout=PATIENCE):
        expect(rows(page)).to_have_count(1)
        expect(rows(page).locator("td.protocol")).to_have_text("SSE")
        expect(rows(page).locator("td.remote")).to_have_text("192.0.2.7")
        rows(page).get_by_role("button", name="anonymous", exact=True).click()
        expect(page.locator("#session-facts")).to_contain_text("SSE, direct writes")
    expect(page.locator("#session-gone")).to_be_visible()


def test_charts_of_several_processes(server: Server, page: Page) -> None:
    """What each did in the same second is summed, though their clocks differ by less; times are weighed."""
    page.goto(server.http + PATH)
    merged = page.evaluate(
        """async () => {
          const { Timelines } = await import("/push/console/timelines.js");
          const lines = new Timelines();
          const sample = (at, sessions, broker) => ({ at, sessions, broker });
          const time = (count, mean, longest) => ({ count, mean, longest });
          lines.add([
            { id: "a", samples: [sample(100.1, 3, time(1, 10, 10)), sample(101.1, 3, null), sample(102.1, 4, null)] },
            { id: "b", samples: [sample(100.9, 5, time(3, 2, 4))] },
          ]);
          lines.add([{ id: "a", samples: [sample(102.1, 4, null), sample(103.1, 4, null)] }, { id: "b", samples: [] }]);
          return [lines.of(""), lines.of("a")];
        }"""
    )
    everything, one = merged
    assert [(moment["at"], moment["sessions"]) for moment in everything] == [(100, 3), (101, 8), (102, 9), (103, 9)]
    assert everything[1]["broker"] == {"count": 3, "mean": 2, "longest": 4}
    assert everything[3]["broker"] == {"count": 3, "mean": 2, "longest": 4}, "it stands for the next, for so long"
    assert [moment["at"] for moment in one] == [100.1, 101.1, 102.1, 103.1]


def test_no_horizontal_scroll(crowd: Server, page: Page) -> None:
    """At no width is anything cut off, in either list or in what opens over it."""
    enter(page, crowd)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    for width in (390, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        page.keyboard.press("s")
        expect(rows(page)).to_have_count(50)
        assert page.evaluate(fits)
        rows(page).first.get_by_role("button").first.click()
        expect(page.locator("#session-facts")).to_contain_text("Connected for")
        assert page.evaluate("document.getElementById('session').scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        expect(rows(page)).to_have_count(8)
        assert page.evaluate(fits)


def test_keyboard(crowd: Server, page: Page) -> None:
    """All can be done from the keyboard; each shortcut is listed, and none takes what is typed into a field."""
    enter(page, crowd)
    expect(rows(page)).to_have_count(50)
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press(" ")
    expect(page.locator("#pause")).to_have_text("Paused")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(rows(page).nth(1).get_by_role("button").first).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("#session")).to_be_visible()
    page.keyboard.press("Escape")
    theme = page.locator("html").get_attribute("data-theme")
    page.keyboard.press("t")
    expect(page.locator("html")).not_to_have_attribute("data-theme", theme or "")
    page.keyboard.press("/")
    page.keyboard.type("st?")
    expect(page.locator("#search")).to_have_value("st?")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_nothing_is_taken_for_html(server: Server, page: Page) -> None:
    """Markup in a user's name, in a channel's and in a publication stays text."""
    enter(page, server)
    markup = "<img src=x onerror=alert(1)>"
    with connect(f"{server.ws}/ws/%3Cimg%20src=x%3E?channels=%3Cimg%20src=x%20onerror=alert(1)%3E"):
        row(page, "<img src=x>").get_by_role("button").first.click()
        expect(page.locator("#session-title")).to_have_text("<img src=x>")
        page.locator("#session-channels").get_by_role("button", name=markup).click()
        page.get_by_role("button", name="Publish to it").click()
        page.locator("#publish-data").fill(markup)
        page.get_by_label("Text", exact=True).check()
        page.locator("#publish-send").click()
        expect(page.locator("#publish-answer")).to_contain_text("Published at offset 1")
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        page.get_by_role("button", name=markup, exact=True).click()
        expect(page.locator("#channel-publications pre")).to_have_text(markup)
        assert page.locator("main img, dialog img").count() == 0


# -- what is done -------------------------------------------------------------------------------------------------


def test_disconnect(server: Server, page: Page) -> None:
    """A session is closed on the second click, with the code that asks its client to stay away; the others stay."""
    enter(page, server)
    with connect(f"{server.ws}/ws/kate") as kate, connect(f"{server.ws}/ws/john") as john:
        button = row(page, "kate").get_by_role("button", name=re.compile("Disconnect"))
        assert click_twice(button) == "Sure?"
        with pytest.raises(ConnectionClosed) as closed:
            kate.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 3503
        expect(rows(page)).to_have_count(1)
        with connect(f"{server.ws}/ws/john") as second:
            expect(rows(page)).to_have_count(2)
            row(page, "john").first.get_by_role("button").first.click()
            button = page.get_by_role("button", name="Disconnect all of the user's")
            assert click_twice(button) == "Disconnect them all?"
            for client in (john, second):
                with pytest.raises(ConnectionClosed):
                    client.recv(PATIENCE)
            expect(page.locator("#session-gone")).to_be_visible()


def test_publish(server: Server, page: Page) -> None:
    """What is published from the console arrives, as JSON or as text; what is neither is refused with its reason."""
    enter(page, server)
    with connect(f"{server.ws}/ws/lisa") as lisa:
        expect(row(page, "lisa")).to_have_count(1)
        page.keyboard.press("p")
        page.locator("#publish-channel").fill("#lisa")
        for text, kind, arrives in (
            ('{"order": 7, "big": 9007199254740993}', "JSON", '{"order":7,"big":9007199254740993}'),
            ("{not JSON", "Text", "{not JSON"),
        ):
            page.locator("#publish-data").fill(text)
            page.get_by_label(kind, exact=True).check()
            page.locator("#publish-send").click()
            expect(page.locator("#publish-answer")).to_contain_text("to 1 session")
            assert lisa.recv(PATIENCE) == arrives
            page.locator("#publish-channel").fill("#lisa")
        page.get_by_label("JSON", exact=True).check()
        page.locator("#publish-send").click()
        expect(page.locator("#publish-answer")).to_contain_text("data: is not JSON")


def test_drain(serve: servers.Serve, page: Page) -> None:
    """A drained process sends its sessions away and takes no new ones; its console stays, and says so.

    With the server gone it says that, and not that it drains.
    """
    with serve_console(serve) as server, ExitStack() as clients:
        enter(page, server)
        mine = [clients.enter_context(connect(f"{server.ws}/ws/{user}")) for user in range(3)]
        expect(rows(page)).to_have_count(3)
        page.get_by_role("button", name="Drain").click()
        page.get_by_label("Over how many seconds").fill("0")
        page.locator("#drain-start").click()
        expect(page.locator("#drain-answer")).to_have_text("Drained: 3 sessions sent away")
        for client in mine:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(PATIENCE)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        page.keyboard.press("Escape")
        expect(page.locator("#banner")).to_contain_text("draining")
        expect(page.locator("#line")).to_have_text("Live")
        with pytest.raises(InvalidStatus):
            connect(f"{server.ws}/ws/late")
        server.stop()
        expect(page.locator("#banner")).to_contain_text("The server cannot be reached since")


def test_server_restarts(serve: servers.Serve, page: Page) -> None:
    """With the server gone the page says so; it comes back by itself, and says that this is another process."""
    with serve_console(serve) as server:
        enter(page, server)
        first = page.locator("#fact-process").text_content() or ""
    expect(page.locator("#line")).to_have_text("Reconnecting")
    expect(page.locator("#banner")).to_contain_text("The server cannot be reached since")
    expect(page.locator("#main")).to_have_attribute("data-stale", "true")
    with serve("tests.endpoints.console.app:app", args=["--factory"], port=server.port):
        expect(page.locator("#line")).to_have_text("Live")
        expect(page.locator("#toast")).to_contain_text("Now looking at another process")
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#fact-process")).not_to_have_text(first)


def test_broker_down(serve: servers.Serve, page: Page, tmp_path: Path) -> None:
    """A broker that cannot be reached is said where nobody overlooks it, and so is that nothing can be published."""
    with (
        servers.run_redis(tmp_path) as redis,
        serve_console(serve, ASGI_PUSH_BROKER=redis.redis) as server,
        connect(f"{server.ws}/ws/alice"),
    ):
        enter(page, server)
        expect(page.locator("#fact-broker")).to_have_text("redis://127.0.0.1")
        expect(page.locator("#banner")).to_be_hidden()
        redis.stop()
        expect(page.locator("#banner")).to_contain_text(re.compile(r"cannot be reached since \d\d:\d\d:\d\d"))
        expect(page.locator("#fact-broker")).to_have_attribute("data-state", "bad")
        page.keyboard.press("p")
        page.locator("#publish-channel").fill("news")
        page.locator("#publish-send").click()
        expect(page.locator("#publish-answer")).to_have_attribute("data-kind", "bad")
        found = parse(httpx.get(f"{server.http}/push/metrics", headers={"X-API-Key": KEY}).text)
        assert of(found, "broker_up") == 0
        assert of(found, "broker_errors_total", operation="publish") >= 1
        with servers.run_redis(tmp_path, port=redis.port):
            page.keyboard.press("Escape")
            expect(page.locator("#banner")).to_be_hidden()
