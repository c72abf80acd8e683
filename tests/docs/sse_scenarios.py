"""What must hold of the pages about event streams; see scenarios.py."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Route

from tests.docs.scenarios import Stage


def sse_hello(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: "/push/events" in stage.server.log())
    stage.post("/prices/ACME?value=7.5")
    stage.until(lambda: said == ["ACME: 7.5"])


def sse_listen(stage: Stage) -> None:
    """A proxy's 502 in the place of the first answer, then a stream; and after another 502 what was missed."""
    answers = [502]

    def answer(route: Route) -> None:
        if answers:
            route.fulfill(status=answers.pop())
        else:
            route.continue_()

    stage.page.route("**/push/events**", answer)
    said = stage.open_script()
    stage.until(lambda: stage.server.log().count("GET /push/events") == 1)
    stage.post("/prices/ACME?value=7.5")
    stage.until(lambda: said == ["ACME: 7.5"])


SCENARIOS: dict[str, Callable[[Stage], None]] = {"sse_hello": sse_hello, "sse_listen": sse_listen}
