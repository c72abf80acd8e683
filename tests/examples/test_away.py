"""Somebody who is away: the page in Chromium, its service worker, a mail server, a push service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser as Chromium

from tests.browsers import with_notifications
from tests.notify.browsing import deliver, stub_subscribe
from tests.notify.services import (
    Browser,
    HttpServer,
    Mailbox,
    PushService,
    http_server,
    smtp_server,
)
from tests.servers import PATIENCE, Serve, Server

from .running import wait_until


@contextmanager
def running(serve: Serve, folder: Path, seconds: float = 0.5) -> Iterator[tuple[Server, Mailbox, HttpServer]]:
    with smtp_server() as mailbox, http_server(PushService()) as service:
        env = {"VAPID_KEY": str(folder / "key.pem"), "MAIL": mailbox.url(""), "SECONDS": str(seconds)}
        with serve("tests.examples.away_app:app", env=env) as server:
            yield server, mailbox, service


def test_a_page_that_is_closed_gets_a_notification(serve: Serve, chromium: Chromium, tmp_path: Path) -> None:
    """It asks for permission and is closed; the message comes as a notification, and waits in the inbox."""
    with running(serve, tmp_path) as (server, mailbox, service):
        phone = Browser(service.url, "phone")
        with with_notifications(chromium) as browser, browser.new_context(permissions=["notifications"]) as context:
            stub_subscribe(context, phone)
            page = context.new_page()
            page.goto(server.http)
            page.click("#notify")
            page.get_by_text("We will.").wait_for()
            assert page.evaluate("serverKey") == httpx.get(f"{server.http}/key").json()
            page.goto("about:blank")
            httpx.post(f"{server.http}/ship/11?order=7").raise_for_status()
            wait_until(lambda: service.requests)
            message = phone.decrypt(service.requests[0].body)
            expected = {"title": "Your order", "body": "Order 7 is on its way.", "url": "/"}
            assert message == expected
            page.goto(f"{server.http}/key")  # of the same origin, and no page of the application
            assert deliver(page, server.http, message) == expected
            page.goto(server.http)
            page.get_by_text("Order 7 is on its way.").wait_for()
        assert mailbox.mails == []


def test_who_has_seen_it_is_told_nothing_and_others_get_a_mail(
    serve: Serve, chromium: Chromium, tmp_path: Path
) -> None:
    """A page that is open confirms; somebody without a page and without a subscription gets a mail."""
    with running(serve, tmp_path, seconds=PATIENCE) as (server, mailbox, service):
        with chromium.new_context() as context:
            page = context.new_page()
            page.goto(f"{server.http}/?user=11")
            wait_until(lambda: "[accepted]" in server.log())
            httpx.post(f"{server.http}/ship/11?order=7").raise_for_status()
            page.get_by_text("Order 7 is on its way.").wait_for()
            wait_until(lambda: httpx.get(f"{server.http}/kept/11").json() == 0)  # so it never falls due
            for path in ("seconds/0.5", "ship/12?order=7"):
                httpx.post(f"{server.http}/{path}").raise_for_status()
            wait_until(lambda: mailbox.mails)
        (mail,) = mailbox.mails
        assert mail["to"] == "12@example.com"
        assert mail["subject"] == "Your order"
        assert service.requests == []
