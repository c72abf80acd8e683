"""What must hold of the projects of the page on who is away; see scenarios.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests import servers
from tests.browsers import with_notifications
from tests.docs.scenarios import Stage, bundle
from tests.notify.browsing import deliver, stub_subscribe
from tests.notify.services import Browser, PushService, http_server, smtp_server
from tests.notify.test_webpush import PEM

SHIPPED = {"title": "Your order", "body": "Order 7 is on its way."}

# A push service of this machine is one.
ALLOW = """
from asgi_push.notify import WebPush

WebPush.__init__.__kwdefaults__["hosts"] = ("127.0.0.1",)
"""


@contextmanager
def impatient(stage: Stage, **env: str) -> Iterator[servers.Server]:
    """Serve the page's application, in which 30 seconds are one tenth."""
    app = stage.folder / "app.py"
    text = app.read_text()
    assert text.count("undelivered_after=30.0") == 1
    app.write_text(text.replace("undelivered_after=30.0", "undelivered_after=0.1"))
    env["PYTHONPATH"] = os.pathsep.join([str(servers.ROOT), str(stage.folder)])
    with servers.serve("app:app", env=env, log_dir=stage.folder) as server:
        yield server


def ship(server: servers.Server, customer: str) -> None:
    url = f"{server.http}/orders/7/ship?customer={customer}"
    httpx.post(url).raise_for_status()


def away_mail(stage: Stage) -> None:
    """Who has an address gets a mail; who has none is nobody's error."""
    with smtp_server() as mailbox, impatient(stage, MAIL=mailbox.url("")) as server:
        ship(server, "12")
        ship(server, "11")
        stage.until(lambda: mailbox.mails)
        (mail,) = mailbox.mails
        assert (mail["to"], mail["subject"]) == ("ada@example.com", "Your order")
        body = mail.get_body(("plain",))
        assert body is not None
        text = f"{SHIPPED['body']} https://shop.example.com/orders"
        assert body.get_content().split() == text.split()
        assert "NotifyError" not in server.log()


def away_browser(stage: Stage) -> None:
    """A page that subscribed gets a notification, in Chromium, from what the push service got."""
    browser = stage.page.context.browser
    assert browser is not None
    with (
        http_server(PushService()) as service,
        impatient(stage) as server,
        with_notifications(browser) as other,
        other.new_context(permissions=["notifications"]) as context,
    ):
        phone = Browser(service.url, "phone")
        stub_subscribe(context, phone)
        page = context.new_page()
        page.goto(server.http)
        page.add_script_tag(content=bundle(stage.folder / "page.js"), type="module")
        page.wait_for_function("'notifyMe' in window")
        assert page.evaluate("notifyMe('11')") is True
        refused = httpx.post(f"{server.http}/subscriptions/11", json={"endpoint": "https://10.0.0.1/"})
        assert refused.status_code == 400
        ship(server, "11")
        stage.until(lambda: service.requests)
        message = phone.decrypt(service.requests[0].body)
        assert message == {**SHIPPED, "url": "/orders"}
        assert deliver(page, server.http, message) == message


PAGE = "<!doctype html><title>Orders</title>"
SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "away_mail": away_mail,
    "away_browser": away_browser,
}
HIDDEN = {"away_browser": {"sitecustomize.py": ALLOW, "private_key.pem": PEM, "page/index.html": PAGE}}
