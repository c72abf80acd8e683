"""Chromium with a push service of the test's own.

Its own push service is Google's, which no test can reach: ``subscribe`` gives a subscription of the
test, and what the service gets is handed to the service worker by the devtools protocol.
"""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import BrowserContext, Page

from tests.notify.services import Browser

SUBSCRIBE = """
PushManager.prototype.subscribe = async (options) => {
  window.serverKey = options.applicationServerKey
  return { toJSON: () => (%s) }
}
"""


def stub_subscribe(context: BrowserContext, browser: Browser) -> None:
    """Let the pages of a context subscribe at the test's push service."""
    context.add_init_script(SUBSCRIBE % json.dumps(browser.subscription))


NOTIFICATIONS = """
navigator.serviceWorker.ready
  .then((registration) => registration.getNotifications())
  .then((all) => all.map(({ title, body, data }) => ({ title, body, url: data.url })))
"""


def deliver(page: Page, origin: str, message: Any) -> Any:
    """Wake up the service worker of an origin with a message; return what the person is shown then.

    The page may be any of that origin. The protocol drops a message now and then, for a worker that
    has just been installed: then it is sent again.
    """
    devtools = page.context.new_cdp_session(page)
    found: list[dict[str, Any]] = []
    devtools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(event["registrations"]),
    )
    devtools.send("ServiceWorker.enable")
    while not any(origin in registration["scopeURL"] for registration in found):
        page.wait_for_timeout(10)
    (identifier,) = {item["registrationId"] for item in found if origin in item["scopeURL"]}
    push = {"origin": origin, "registrationId": identifier, "data": json.dumps(message)}
    for attempt in range(300):
        if attempt % 30 == 0:
            devtools.send("ServiceWorker.deliverPushMessage", push)
        page.wait_for_timeout(100)
        if shown := page.evaluate(NOTIFICATIONS):
            return shown[0]
    raise AssertionError("the service worker showed nothing")
