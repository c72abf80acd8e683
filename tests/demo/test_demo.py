"""The demo in a real browser, as `make demo` starts it, and what its endpoints refuse."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from asgi_push import Push
from asgi_push.demo import board, run
from tests.examples.pages import PageClock
from tests.live.talking import until
from tests.servers import HOST, PATIENCE, ROOT, Server, free_port, run_server


def serve_demo(port: int, folder: Path) -> AbstractContextManager[Server]:
    command = [sys.executable, "-m", "asgi_push", "demo", "--host", HOST, "--port", f"{port}"]
    return run_server("demo", command, port=port, log_path=folder / "demo.log")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_demo(free_port(), tmp_path_factory.mktemp("demo")) as server:
        yield server
        assert "Traceback" not in server.log()


def visit(page: Page, server: Server) -> None:
    """Open the page, which connects by itself, and wait until the sessions of an earlier test have left."""
    page.goto(server.http)
    expect(page.locator("#server-state")).to_have_text("Live")
    expect(page.locator("#line-state")).to_have_text("Open")
    expect(rows(page)).to_have_count(1)


def listen_by(page: Page, mode: str) -> None:
    page.get_by_text(mode, exact=True).first.click()
    expect(page.locator("#line-state")).to_have_text("Open")
    protocol = "WebSocket" if mode in ("Bare", "Envelope") else mode
    expect(rows(page, "11").locator(".protocol")).to_have_text(protocol)


def rows(page: Page, user: str = "") -> Locator:
    return page.locator("#sessions tr", has=page.locator(".name", has_text=re.compile(f"^{user}")))


def silent_for(page: Page, user: str) -> float:
    """The seconds since a user's last heartbeat, as they are shown."""
    return float((rows(page, user).locator(".silent").text_content() or "").split()[0])


def state_of_line(page: Page) -> str | None:
    return page.locator("#line-state").text_content()


def log(page: Page) -> Locator:
    return page.locator("#log")


def push(page: Page, message: str, to: str = "One user", users: str = "11") -> None:
    page.get_by_text(to, exact=True).click()
    if to != "Everybody":
        page.locator("#users").fill(users)
    page.locator("#message").fill(message)
    page.get_by_role("button", name="Push", exact=True).click()


# -- the line -----------------------------------------------------------------------------------------------------


def test_opens_and_closes(demo: Server, page: Page) -> None:
    """The page connects by itself as user 11, learns its session, sees its heartbeat answered, and closes it."""
    visit(page, demo)
    expect(log(page)).to_contain_text("ping, pong in")
    expect(rows(page, "11").locator(".tag")).to_have_text("this page")
    expect(log(page)).to_contain_text(f'"session":"{rows(page, "11").get_attribute("data-session")}"')
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("#line-state")).to_have_text("Closed")
    expect(rows(page)).to_have_count(0)
    expect(page.locator("#seen")).to_contain_text("11 left: 1000 closed by the page")


def test_server_hears_the_page(demo: Server, page: Page) -> None:
    """What the page says arrives at the application."""
    visit(page, demo)
    page.locator("#say-text").fill("hello, server")
    page.keyboard.press("Enter")
    expect(page.locator("#seen li[data-kind=in]").last).to_contain_text("11: hello, server")


@pytest.mark.parametrize(
    ("to", "users", "reached", "receivers"),
    [
        ("One user", "11", 1, {"11"}),
        ("One user", "13", 1, {"13"}),
        ("Several", "11, 12 14", 3, {"11", "12", "14"}),
        ("Everybody", "", 4, {"11", "12", "13", "14"}),
    ],
)
def test_push_reaches_whom_it_names(
    demo: Server, page: Page, to: str, users: str, reached: int, receivers: set[str]
) -> None:
    """A push reaches one user, several or everybody, and nobody else; the page says how many sessions that were."""
    visit(page, demo)
    page.get_by_role("button", name="Open users 12, 13 and 14").click()
    expect(rows(page)).to_have_count(4)
    push(page, "for some", to, users)
    expect(page.locator("#result")).to_have_text(f"Reached {reached} session{'s' if reached > 1 else ''}")
    push(page, "for all", "Everybody")  # after it, whoever was to get the first message has got it
    for user in ("12", "13", "14"):
        expect(page.locator(f"#neighbours [data-user='{user}'] .last")).to_have_text("for all")
        count = "2 messages" if user in receivers else "1 message"
        expect(page.locator(f"#neighbours [data-user='{user}'] .count")).to_have_text(count)
    expect(log(page)).to_contain_text("for all")
    expect(log(page).get_by_text("for some")).to_have_count(1 if "11" in receivers else 0)


def test_push_to_nobody_says_so(demo: Server, page: Page) -> None:
    """A push to a user without a session says that it reached nobody; one without a user names the mistake."""
    visit(page, demo)
    push(page, "anyone there?", users="99")
    expect(page.locator("#result")).to_have_text("Reached nobody: no session is open")
    push(page, "anyone there?", users="")
    expect(page.locator("#result")).to_have_text("users: must name exactly one user")


def test_nothing_is_taken_for_html(demo: Server, page: Page) -> None:
    """Markup in a message, in what a client says and in a user's name stays text."""
    markup = "<img src=x onerror=alert(1)>"
    visit(page, demo)
    with connect(f"{demo.ws}/websocket/%3Cimg%20src=x%3E") as client:
        expect(rows(page, "<img src=x>")).to_be_visible()
        client.send(markup)
        expect(page.locator("#seen")).to_contain_text(markup)
        push(page, markup)
        expect(log(page)).to_contain_text(markup)
        expect(page.locator("img")).to_have_count(0)


# -- cutting it ---------------------------------------------------------------------------------------------------


def test_cut_line_comes_back(demo: Server, page: Page) -> None:
    """With the line cut a missing pong tells the page, which tries again after growing delays until it is back."""
    visit(page, demo)
    expect(rows(page, "11")).to_have_count(1)
    lost_session = rows(page, "11").get_attribute("data-session") or ""
    page.get_by_role("button", name="Cut the line").click()
    push(page, "into the void")
    expect(page.locator("#result")).to_have_text("Reached 1 session")  # written is not delivered
    expect(page.locator("#line-state")).to_have_text("Lost, trying again")
    expect(log(page)).to_contain_text("Lost: no pong within 3 s")
    expect(rows(page, "11").locator(".tag")).to_have_text("line lost")
    expect(log(page)).to_contain_text("Attempt 2: 1006 the line is cut. Next in")
    expect(page.locator("#retry-text")).to_contain_text(re.compile(r"Attempt \d+ in \d+\.\d s"))
    page.get_by_role("button", name="Mend the line").click()
    expect(page.locator("#line-state")).to_have_text("Open")
    expect(rows(page, "11")).to_have_count(1)
    expect(rows(page, "11")).not_to_have_attribute("data-session", lost_session)
    push(page, "back again")
    expect(log(page)).to_contain_text("back again")
    expect(log(page)).not_to_contain_text("into the void")


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [("Bare", "2 lost"), ("Envelope", "2 recovered"), ("SDK", "2 recovered"), ("EventSource", "2 recovered")],
)
def test_what_a_cut_costs(demo: Server, page: Page, mode: str, verdict: str) -> None:
    """Cut, push twice, mend: the page counts what was lost and what came again, for each way to listen."""
    clock = PageClock(page)
    visit(page, demo)
    listen_by(page, mode)
    push(page, "before it")
    expect(log(page)).to_contain_text("before it")
    page.get_by_role("button", name="Cut the line").click()
    for count in ("1", "2"):
        push(page, f"number {count}")
        expect(page.locator("#verdict")).to_have_text(f"{count} pushed meanwhile")
    until(lambda: clock.run(500) or state_of_line(page) == "Lost, trying again")
    page.get_by_role("button", name="Mend the line").click()
    until(lambda: state_of_line(page) == "Open" or (state_of_line(page) != "Connecting" and clock.run(500)))
    expect(log(page).get_by_text("number")).to_have_count(2 if "recovered" in verdict else 0)
    clock.run(1000)  # in which whatever was missed comes
    expect(page.locator("#verdict")).to_have_text(verdict)
    expect(log(page).get_by_text("number")).to_have_count(2 if "recovered" in verdict else 0)


@pytest.mark.parametrize(
    ("mode", "file"),
    [("Bare", "client.js"), ("Envelope", "envelope.js"), ("SDK", "sdk.js"), ("EventSource", "stream.js")],
)
def test_the_code_is_that_of_the_page(demo: Server, page: Page, mode: str, file: str) -> None:
    """What stands in the panel is the very file that the page runs, and an application that serves it."""
    visit(page, demo)
    listen_by(page, mode)
    expect(page.locator("#page-file")).to_have_text(file)
    expect(page.locator("#page-code")).to_have_text(httpx.get(f"{demo.http}/page/{file}").text, use_inner_text=False)
    source = page.locator("#application-code").text_content() or ""
    names: dict[str, Any] = {}
    exec(source, names)
    assert names["push"].settings.sse is (mode == "EventSource")


def test_a_stream_goes_one_way(demo: Server, page: Page) -> None:
    """Nothing can be said to the server on it, and the page says so."""
    visit(page, demo)
    listen_by(page, "EventSource")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    expect(rows(page, "11").locator(".silent")).to_have_text("none")


def test_the_log_stands_above_the_push_on_a_phone(demo: Server, page: Page) -> None:
    """Both are on one screen, and no part of the page is wider than that."""
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, demo)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in page.locator(".segments label span").all():
        assert name.evaluate("node => node.scrollWidth <= node.clientWidth")
    top = log(page).bounding_box()
    bottom = page.get_by_role("button", name="Push", exact=True).bounding_box()
    assert top is not None
    assert bottom is not None
    assert 0 < bottom["y"] - top["y"] < 500


def test_links_lead_to_published_documentation_only(demo: Server, page: Page) -> None:
    """Without an address of its own the page names the documentation, and links nowhere."""
    visit(page, demo)
    docs = httpx.get(f"{demo.http}/demo/about").json()["docs"]
    assert page.locator("footer a[href]").count() == (page.locator("footer a").count() if docs else 0)
    for link in page.locator("footer a").all():
        assert (ROOT / "docs" / f"{link.get_attribute('data-page')}.md").exists()


def test_line_mended_in_time(demo: Server, page: Page) -> None:
    """A line mended before the heartbeat misses anything goes on as if nothing had been: TCP delivers what waited."""
    clock = PageClock(page)
    visit(page, demo)
    expect(rows(page, "11")).to_have_count(1)
    session = rows(page, "11").get_attribute("data-session") or ""
    page.get_by_role("button", name="Cut the line").click()
    push(page, "held back")
    expect(page.locator("#result")).to_have_text("Reached 1 session")
    expect(log(page)).not_to_contain_text("held back")
    page.get_by_role("button", name="Mend the line").click()
    expect(log(page)).to_contain_text("held back")
    clock.run(1000)  # in which whatever was missed comes
    expect(page.locator("#verdict")).to_have_text("1 arrived late")
    expect(rows(page, "11")).to_have_attribute("data-session", session)


def test_server_restarts(page: Page, tmp_path: Path) -> None:
    """With the server gone the page says so; once it is there again, the line and the list come back by themselves."""
    port = free_port()
    with serve_demo(port, tmp_path) as server:
        visit(page, server)
        expect(rows(page, "11")).to_have_count(1)
    expect(page.locator("#line-state")).to_have_text("Lost, trying again")
    expect(page.locator("#server-state")).to_have_text("Unreachable, trying again")
    expect(log(page)).to_contain_text("Lost: 1012")
    push(page, "too early")
    expect(page.locator("#result")).to_have_text("The server cannot be reached")
    with serve_demo(port, tmp_path):
        expect(page.locator("#line-state")).to_have_text("Open")
        expect(page.locator("#server-state")).to_have_text("Live")
        push(page, "welcome back")
        expect(log(page)).to_contain_text("welcome back")


def test_disconnected_by_the_server_stays_away(demo: Server, page: Page) -> None:
    """Disconnect in the table closes that session with the code that asks a client not to come back."""
    visit(page, demo)
    rows(page, "11").get_by_role("button", name="Disconnect").click()
    expect(page.locator("#line-state")).to_have_text("Closed")
    expect(log(page)).to_contain_text("Closed (3503 force disconnect")
    expect(rows(page)).to_have_count(0)


# -- the list of sessions -----------------------------------------------------------------------------------------


def test_sessions_are_pushed(demo: Server, page: Page) -> None:
    """The table follows who comes, sends heartbeats and goes, without one request, and nothing comes from elsewhere."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    visit(page, demo)
    assert all(url.startswith((demo.http, "data:")) for url in requests)
    requests.clear()
    with connect(f"{demo.ws}/websocket/77") as client:
        expect(rows(page, "77")).to_have_count(1)
        expect(rows(page, "77").locator(".silent")).to_have_text(re.compile(r"^([3-9]|\d\d)\.\d s ago"))
        expect(rows(page, "77").locator(".age")).to_have_text(re.compile(r"^(0:0[3-9]|\d+:[1-5]\d)$"))
        until(lambda: client.send("ping") or silent_for(page, "77") < 3)  # a busy page may show each late
    expect(rows(page, "77")).to_have_count(0)
    assert requests == []


def test_focus_survives_an_update(demo: Server, page: Page) -> None:
    """The list is updated in place: the button that has the focus keeps it."""
    visit(page, demo)
    button = rows(page, "11").get_by_role("button", name="Disconnect")
    button.focus()
    with connect(f"{demo.ws}/websocket/12"):
        expect(rows(page, "12")).to_have_count(1)
        expect(button).to_be_focused()


def test_only_the_monitor_may_watch(demo: Server) -> None:
    """Anybody else who asks for the channel of the list is not let into it."""
    address = f"{demo.ws}/websocket/%s?channels=demo:sessions"
    with connect(address % "monitor") as monitor, connect(address % "11") as other:
        while "11" not in [session["user"] for session in json.loads(monitor.recv())["sessions"]]:
            pass
        monitor.recv()  # by now the other would have got a list too
        other.send("ping")
        assert set(json.loads(other.recv())) == {"session", "user"}
        assert other.recv() == "pong"


async def test_list_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A push of the list that fails is logged, and the next one is tried."""
    pushed = anyio.Event()
    attempts = 0

    async def publish(channel: str, data: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError("the first one fails")
        pushed.set()

    monkeypatch.setattr(board, "REFRESH", 0.01)
    demo_push = Push()
    monkeypatch.setattr(demo_push, "publish", publish)
    monkeypatch.setattr(demo_push, "sessions", lambda channel=None: ["a monitor"] if channel else [])
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(board.Board().keep_pushing, demo_push)
            await pushed.wait()
            tasks.cancel_scope.cancel()
    assert "the first one fails" in caplog.text


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("push", b"{", "body: must be JSON"),
        ("push", b"[]", "body: must be a JSON object"),
        ("push", {"message": "x"}, "to: must be one, several or all"),
        ("push", {"to": "all"}, "message: must be text of 1 to 2000 characters"),
        ("push", {"to": "all", "message": "x" * 2001}, "message: must be text of 1 to 2000 characters"),
        ("push", b'{"to": "all", "message": "\\ud800"}', None),
        ("push", {"to": "one", "users": ["1", "2"], "message": "x"}, "users: must name exactly one user"),
        ("push", {"to": "several", "users": ["1"] * 51, "message": "x"}, "users: must name 1 to 50 users"),
        ("push", {"to": "several", "users": "11", "message": "x"}, "users: must name 1 to 50 users"),
        ("push", {"to": "one", "users": [11], "message": "x"}, "users: each must be text of 1 to 64 characters"),
        ("disconnect", {"session": "nobody"}, "session: none with this id is open"),
        ("disconnect", {"session": ["x"]}, "session: none with this id is open"),
    ],
)
def test_bad_requests_are_explained(demo: Server, path: str, body: Any, error: str | None) -> None:
    """A request that cannot be used is answered 400, with JSON that names the field."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(f"{demo.http}/demo/{path}", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert error is None or answer.json() == {"error": error}
    assert answer.json()["error"]


def test_forms_of_other_sites_are_refused(demo: Server) -> None:
    """JSON sent as text/plain, which any site's form can do, is refused."""
    answer = httpx.post(f"{demo.http}/demo/push", content=b'{"to": "all", "message": "x"}')
    assert answer.status_code == 400
    assert answer.json() == {"error": "content-type: must be application/json"}


@pytest.mark.parametrize("name", ["app.py", "..%2Fapp.py", "%2e%2e/app.py", "nothing.js", ""])
def test_only_the_pages_files_are_served(demo: Server, name: str) -> None:
    """Beside the page's own files there is nothing to be had."""
    assert httpx.get(f"{demo.http}/page/{name}").status_code == 404


# -- starting it --------------------------------------------------------------------------------------------------


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl+C ends it, with open sessions too, and without a traceback."""
    with serve_demo(free_port(), tmp_path) as server, connect(f"{server.ws}/websocket/11") as client:
        client.recv()
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed):
            client.recv()
        assert server.process.wait(PATIENCE) == 0
        assert server.log() == f"asgi_push demo: {server.http}/ (Ctrl+C stops it)\n"


def test_taken_port(demo: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is said in one line, with exit code 1."""
    with pytest.raises(SystemExit) as exit_info:
        run(HOST, demo.port)
    assert exit_info.value.code == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert f"cannot listen on {HOST} port {demo.port}" in captured.err


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("no-such-host.invalid", 0, "cannot listen on no-such-host.invalid: "),
        (HOST, 65_536, "cannot listen on port 65536: a port is a number from 0 to 65535"),
    ],
)
def test_impossible_addresses(host: str, port: int, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So is an address that cannot be."""
    with pytest.raises(SystemExit) as exit_info:
        run(host, port)
    assert exit_info.value.code == 1
    assert reason in capsys.readouterr().err


def test_bad_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """So is a setting of the environment that cannot be used."""
    monkeypatch.setenv("ASGI_PUSH_QUEUE_BYTES", "many")
    with pytest.raises(SystemExit) as exit_info:
        run(HOST, 0)
    assert exit_info.value.code == 1
    assert "ASGI_PUSH_QUEUE_BYTES" in capsys.readouterr().err


def test_without_uvicorn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without uvicorn the demo names the extra to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit) as exit_info:
        run(HOST, 0)
    assert exit_info.value.code == 1
    assert 'pip install "uvicorn>=0.52.1" "websockets>=15"' in capsys.readouterr().err
