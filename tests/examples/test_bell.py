from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute

from tests.examples.pages import STRINGS, wait_for_entries
from tests.examples.running import RunExample
from tests.live.talking import until
from tests.servers import Server, free_port


@pytest.fixture
def server(run_example: RunExample) -> Iterator[Server]:
    with run_example("bell/app.py") as server:
        yield server


def open_as(page: Page, server: Server, user: str = "ann") -> None:
    page.goto(f"{server.http}/?user={user}")


def notify(server: Server, text: str, user: str = "ann") -> bool:
    answer = httpx.post(f"{server.http}/users/{user}/notify", params={"text": text}).json()
    return bool(answer["online"])


def unread(server: Server) -> int:
    return int(httpx.get(f"{server.http}/users/ann/unread").json()["unread"])


def wait_for_unread(page: Page, number: int) -> None:
    page.locator("#unread").get_by_text(str(number), exact=True).wait_for()


def test_it_rings_for_its_person_alone(server: Server, chromium: Browser, page: Page) -> None:
    """What a person is notified of stands on their page, the newest first, and on nobody else's."""
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(page, server)
        open_as(other, server, "bob")
        wait_for_unread(page, 0)
        wait_for_unread(other, 0)
        for text in STRINGS:
            assert notify(server, text)
        assert notify(server, "hello bob", "bob")
        wait_for_unread(page, len(STRINGS))
        wait_for_entries(page, STRINGS[::-1])
        wait_for_unread(other, 1)


def test_it_survives_a_reload(server: Server, page: Page) -> None:
    """What was unread before a reload is unread after it, and what was read stays read."""
    open_as(page, server)
    wait_for_unread(page, 0)
    for number in (1, 2):
        notify(server, f"number {number}")
        wait_for_unread(page, number)
    page.reload()
    wait_for_unread(page, 2)
    page.locator("#bell").click()
    wait_for_unread(page, 0)
    page.reload()
    wait_for_unread(page, 0)
    notify(server, "number 3")
    wait_for_unread(page, 1)
    wait_for_entries(page, ["number 3", "number 2", "number 1"])


def test_what_came_while_the_page_was_closed_is_there(server: Server, page: Page) -> None:
    """Notifications need no open page."""
    assert not notify(server, "nobody is here")
    open_as(page, server)
    wait_for_unread(page, 1)
    page.goto("about:blank")
    notify(server, "nor now")
    open_as(page, server)
    wait_for_unread(page, 2)
    wait_for_entries(page, ["nor now", "nobody is here"])


def test_what_is_read_on_one_device_is_read_on_all(server: Server, chromium: Browser, page: Page) -> None:
    """The number is the inbox's: a page that read it all leaves nothing for another device."""
    notify(server, "early")
    open_as(page, server)
    notify(server, "late")
    wait_for_unread(page, 2)
    assert unread(server) == 2
    page.locator("#bell").click()
    wait_for_unread(page, 0)
    until(lambda: unread(server) == 0)
    with chromium.new_context() as context:
        other = context.new_page()
        open_as(other, server)
        wait_for_entries(other, ["late", "early"])
        wait_for_unread(other, 0)
        notify(server, "latest")
        wait_for_unread(other, 1)


def test_what_comes_while_others_are_read_is_unread(server: Server, page: Page) -> None:
    """A notification that comes before the answer to the confirmation of those before it still counts."""
    answers: list[str | bytes] = []
    routes: list[WebSocketRoute] = []

    def pass_on(message: str | bytes) -> None:
        if '"rpc"' in str(message):
            answers.append(message)
        else:
            routes[-1].send(message)

    def open_route(route: WebSocketRoute) -> None:
        routes.append(route)
        route.connect_to_server().on_message(pass_on)

    page.route_web_socket("**/connection/websocket*", open_route)
    open_as(page, server)
    wait_for_unread(page, 0)
    notify(server, "early")
    wait_for_unread(page, 1)
    page.locator("#bell").click()
    until(lambda: page.wait_for_timeout(20) or answers)
    notify(server, "late")
    wait_for_unread(page, 2)
    routes[-1].send(answers[0])
    wait_for_unread(page, 1)


def test_after_a_restart_it_begins_anew(run_example: RunExample, page: Page) -> None:
    """A server that keeps its histories in memory forgets them; what was read there says nothing of what comes now."""
    port = free_port()
    with run_example("bell/app.py", port=port) as server:
        open_as(page, server)
        wait_for_unread(page, 0)
        notify(server, "before")
        wait_for_unread(page, 1)
        page.locator("#bell").click()
        wait_for_unread(page, 0)
    with run_example("bell/app.py", port=port) as server:
        page.wait_for_function("document.querySelectorAll('li').length === 0")
        notify(server, "after")
        wait_for_unread(page, 1)
        wait_for_entries(page, ["after"])
