"""What must hold of the page about presence: each page sees who comes and goes, of both protocols."""

from __future__ import annotations

import json
from collections.abc import Callable

from websockets.sync.client import ClientConnection

from tests.docs.scenarios import Stage
from tests.servers import PATIENCE


def presence_page(stage: Stage) -> None:
    script = stage.folder / "page.js"
    assert "30_000" in script.read_text()
    script.write_text(script.read_text().replace("30_000", "3_600_000"))  # what the hooks tell has to be enough
    said = stage.open_script()
    stage.until(lambda: said[-1:] == ["here: ann"])
    with stage.connect("/ws?user=bob&channels=room:1"), stage.connect("/ws?user=bob&channels=room:1") as tab:
        stage.until(lambda: said[-1:] == ["here: ann,bob"])
        seen = len(said)
        tab.close()
        stage.until(lambda: len(said) > seen)
        assert said[-1] == "here: ann,bob", "the other tab is still there"
        with stage.connect("/connection/websocket?user=cid") as sdk:
            join_as_sdk(sdk)
            stage.until(lambda: said[-1:] == ["here: ann,bob,cid"])
        stage.until(lambda: said[-1:] == ["here: ann,bob"])
    stage.until(lambda: said[-1:] == ["here: ann"])


def presence_sdk(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: said[-1:] == ["here: bob"])
    with stage.connect("/ws?user=ann&channels=room:1"):
        stage.until(lambda: said[-1:] == ["here: ann,bob"])
    stage.until(lambda: said[-1:] == ["here: bob"])


def join_as_sdk(sdk: ClientConnection) -> None:
    """Connect, subscribe and call, as the page's client does."""
    commands: tuple[dict[str, object], ...] = (
        {"id": 1, "connect": {}},
        {"id": 2, "subscribe": {"channel": "room:1"}},
        {"id": 3, "rpc": {"method": "came", "data": {}}},
    )
    for command in commands:
        sdk.send(json.dumps(command))
        while json.loads(sdk.recv(PATIENCE)).get("id") != command["id"]:
            pass


SCENARIOS: dict[str, Callable[[Stage], None]] = {"presence_page": presence_page, "presence_sdk": presence_sdk}
