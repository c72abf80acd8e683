"""What must hold of the projects whose clients are SDKs; see scenarios.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import WebSocketRoute
from websockets.exceptions import ConnectionClosed

from tests import servers
from tests.docs.scenarios import PATIENCE, Stage, install_modules

NEWS = "#11 shipped"


# -- With a client SDK ------------------------------------------------------------------------------------------------


def clients_page(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: said == ["connected"])
    stage.post("/orders/7/ship")
    stage.until(lambda: said == ["connected", NEWS])
    assert "eyJ" not in stage.server.log(), "a token is in the log"
    for token, code in (("", 3501), ("forged", 3500)):
        with stage.connect("/connection/websocket") as client:
            client.send(json.dumps({"id": 1, "connect": {"token": token}}))
            with pytest.raises(ConnectionClosed, match=str(code)):
                client.recv(PATIENCE)


def clients_subscribe(stage: Stage) -> None:
    said = stage.open_script()
    came = ["1 kept", "1 sessions, 1 users", "11", "11 came", "11: hello", "404 no such method", "twice that is 42"]
    stage.until(lambda: sorted(said) == came)
    stage.until(lambda: "11 sent {'seen': 7}" in stage.server.log())


def clients_token(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: said == ["at the desk"])
    mine, theirs = (str(stage.post(path)) for path in ("/token/11/desk:7", "/token/12/desk:7"))
    forged = mine[:-4] + ("AAAA" if mine[-4:] != "AAAA" else "BBBB")
    assert subscribe(stage, "desk:7", forged) == {"code": 103, "message": "permission denied"}
    assert subscribe(stage, "desk:8", mine) == subscribe(stage, "desk:7", theirs) == 3500


def subscribe(stage: Stage, channel: str, token: str) -> object:
    """What a client of user 11 is answered: the result, the error, or the code with which it is closed."""
    with stage.connect("/connection/websocket") as client:
        client.send(json.dumps({"id": 1, "connect": {"token": stage.post("/token/11")}}))
        client.recv(PATIENCE)
        client.send(json.dumps({"id": 2, "subscribe": {"channel": channel, "token": token}}))
        try:
            reply = json.loads(client.recv(PATIENCE))
        except ConnectionClosed as closed:
            return closed.rcvd and closed.rcvd.code
        return reply.get("error") or reply["subscribe"]


def mounted(library: str, script: str) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        (stage.folder / "page.js").write_text(script)
        said = stage.open_script()
        stage.until(lambda: stage.page.locator("#app", has_text="subscribed").count())
        stage.post("/orders/7/ship")
        stage.until(lambda: said == ["shipped"])
        stage.page.evaluate("unmount()")
        stage.post("/orders/7/ship")
        stage.page.evaluate("client.ready().then(() => client.rpc('double', {number: 1}))")  # all before it has come
        assert said == ["shipped"], library

    return run


clients_vue = mounted(
    "Vue",
    """
    import { createApp, h } from "vue";
    import { client } from "./client.js";
    import { useChannel } from "./useChannel.js";
    const setup = () => {
        const state = useChannel("order:7", (order) => console.log(order.status));
        return () => h("div", state.value);
    };
    const app = createApp({ setup });
    app.mount("#app");
    Object.assign(window, { client, unmount: () => app.unmount() });
    """,
)
clients_react = mounted(
    "React",
    """
    import { createElement, StrictMode } from "react";
    import { createRoot } from "react-dom/client";
    import { client } from "./client.js";
    import { useChannel } from "./useChannel.js";
    const App = () => createElement("div", null, useChannel("order:7", (order) => console.log(order.status)));
    const root = createRoot(document.querySelector("#app"));
    root.render(createElement(StrictMode, null, createElement(App)));
    Object.assign(window, { client, unmount: () => root.unmount() });
    """,
)


@contextmanager
def running(
    stage: Stage, name: str, command: Sequence[str | Path], env: dict[str, str] | None = None
) -> Iterator[Path]:
    """Run a program of the project on the server of the test; what it says is in the file."""
    path, log = stage.folder / name, stage.folder / f"{name}.log"
    port = str(stage.server.port)
    path.write_text(path.read_text().replace("localhost:8000", f"{servers.HOST}:{port}"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, name], cwd=stage.folder, env={**os.environ, **(env or {})}, stdout=output, stderr=output
        )
    try:
        yield log
    finally:
        process.kill()
        process.wait()


def clients_node(stage: Stage) -> None:
    (stage.folder / "node_modules").symlink_to(install_modules())
    with running(stage, "watch.mjs", [servers.find_program("node")]) as log:
        stage.until(lambda: log.read_text() == "connected\n")
        stage.post("/orders/7/ship")
        stage.until(lambda: log.read_text() == f"connected\n{NEWS}\n")


def clients_python(stage: Stage) -> None:
    with running(stage, "watch.py", [sys.executable]) as log:
        stage.until(lambda: log.read_text().count("\n") == 2)
        assert sorted(log.read_text().splitlines()) == ["1 {'text': 'good morning'}", "{'result': 42}"]


def clients_protobuf(stage: Stage) -> None:
    with running(stage, "watch_protobuf.py", [sys.executable]) as log:
        stage.until(lambda: log.read_text() == "{'text': 'in bytes'}\n")


# -- Recovery ---------------------------------------------------------------------------------------------------------


class Line:
    """The page's connection, which can be cut; a page that comes back is let through when this thread waits again."""

    def __init__(self, stage: Stage) -> None:
        self._routes: list[WebSocketRoute] = []
        stage.page.route_web_socket("**/connection/websocket", self._open)

    def _open(self, route: WebSocketRoute) -> None:
        route.connect_to_server()
        self._routes.append(route)

    def cut(self) -> None:
        self._routes.pop().close(code=4000, reason="cut")


def play(stage: Stage, goals: int) -> None:
    for _ in range(goals):
        stage.post("/goals/7")


def recovery_recovered(stage: Stage) -> None:
    line = Line(stage)
    said = stage.open_script()
    stage.until(lambda: said == ["state 0", "new"])
    play(stage, 2)
    stage.until(lambda: said[2:] == ["goal 1", "goal 2"])
    line.cut()
    play(stage, 3)
    stage.until(lambda: "goal 5" in said)
    play(stage, 1)
    stage.until(lambda: "goal 6" in said)
    assert said[4:] == ["recovered", "goal 3", "goal 4", "goal 5", "goal 6"]
    line.cut()
    play(stage, 11)  # the history has room for 10
    stage.until(lambda: "state 17" in said)
    play(stage, 1)
    stage.until(lambda: "goal 18" in said)
    assert said[9:] == ["lost", "state 17", "goal 18"]


def recovery_get_state(stage: Stage) -> None:
    play(stage, 3)
    line = Line(stage)
    said = stage.open_script()
    stage.until(lambda: said == ["state 3", "subscribed"])
    line.cut()
    play(stage, 2)
    stage.until(lambda: said[2:] == ["subscribed", "goal 4", "goal 5"])
    line.cut()
    play(stage, 11)
    stage.until(lambda: said[-1] == "subscribed" and len(said) > 5)
    assert said[5:] == ["state 16", "subscribed"]
    play(stage, 1)
    stage.until(lambda: said[-1] == "goal 17")


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    name: function for name, function in list(globals().items()) if name.partition("_")[0] in ("clients", "recovery")
}
