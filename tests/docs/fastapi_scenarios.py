"""What must hold of the recipes for FastAPI, and of the page for Flask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.docs.scenarios import PATIENCE, Stage


def cookie_from(stage: Stage, path: str) -> str:
    """What a login sets."""
    request = urllib.request.Request(stage.server.http + path, method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return str(response.headers["set-cookie"]).partition(";")[0]


def fastapi_login(stage: Stage) -> None:
    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws"):
        pass
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stage.post("/login?user=ann&password=wrong")
    cookie = cookie_from(stage, "/login?user=ann&password=apple")
    with stage.connect("/ws", Cookie=cookie) as client:
        assert stage.post("/greet/ann") == {"reached": 1}
        assert client.recv(PATIENCE) == "hello"
        stage.post("/logout", Cookie=cookie)
        with pytest.raises(ConnectionClosed, match="3503"):
            client.recv(PATIENCE)


def fastapi_database(stage: Stage) -> None:
    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws", Cookie="login=made-up"):
        pass
    ann, bob = (cookie_from(stage, f"/login?{who}") for who in ("name=Ann&team=red", "name=Bob&team=blue"))
    with stage.connect("/ws", Cookie=ann) as red, stage.connect("/ws", Cookie=bob) as blue:
        assert stage.post("/teams/red/goal") == {"reached": 1}
        assert json.loads(red.recv(PATIENCE)) == {"goal": "red"}
        assert stage.post("/teams/blue/goal") == {"reached": 1}
        assert json.loads(blue.recv(PATIENCE)) == {"goal": "blue"}


def fastapi_messages(stage: Stage) -> None:
    with stage.connect("/websocket/ann") as client:
        said = json.loads(ask(client, {"type": "say", "text": "hi"}))
        assert said == {"type": "said", "user": "ann", "text": "hi"}
        assert json.loads(ask(client, {"type": "move", "x": 1, "y": 2})) == {
            "type": "moved",
            "user": "ann",
            "x": 1,
            "y": 2,
        }
        wrong = json.loads(ask(client, {"type": "move", "x": "far", "y": 2}))
        assert wrong["type"] == "mistake"
        assert wrong["errors"][0].startswith("move.x: ")
        assert "far" not in str(wrong)
        assert json.loads(ask(client, {"type": "fly"}))["type"] == "mistake"
        client.send("no JSON")
        wrong = json.loads(client.recv(PATIENCE))
        assert wrong["type"] == "mistake"
        assert wrong["errors"][0].startswith("Invalid JSON: ")
    with stage.connect("/connection/websocket") as sdk:
        sdk.send('{"id":1,"connect":{}}')
        sdk.recv(PATIENCE)
        assert call(sdk, 2, "add", {"numbers": [1, 2]})["rpc"]["data"] == {"total": 3.0}
        refused = call(sdk, 3, "add", {"numbers": ["x"]})["error"]
        assert refused["code"] == 400
        assert refused["message"].startswith("numbers.0: ")
        assert call(sdk, 4, "subtract", {})["error"]["code"] == 404


def ask(client: ClientConnection, message: object) -> str:
    client.send(json.dumps(message))
    return str(client.recv(PATIENCE))


def call(sdk: ClientConnection, number: int, method: str, data: object) -> Any:
    sdk.send(json.dumps({"id": number, "rpc": {"method": method, "data": data}}))
    while (reply := json.loads(sdk.recv(PATIENCE))).get("id") != number:
        pass
    return reply


def fastapi_jobs(stage: Stage) -> None:
    with stage.connect("/websocket/ann") as client:
        stage.post("/exports/ann")
        said = [json.loads(client.recv(PATIENCE)) for _ in range(3)]
    assert said == [{"export": 50}, {"export": 100}, {"convert": "done"}]


def wsgi_flask(stage: Stage) -> None:
    """Its application answers one request after the other, as a WSGI server would have it."""

    def ask(path: str) -> str:
        code = f"from shop import shop; a = shop.test_client().post({path!r}); print(a.status, a.headers, a.text)"
        env = {**os.environ, "PUSH": stage.server.http}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=stage.folder, env=env, check=True, capture_output=True, text=True).stdout

    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws"):
        pass
    answer = ask("/login/11")
    assert "HttpOnly" in answer
    cookie = answer.partition("Set-Cookie: ")[2].partition(";")[0]
    with stage.connect("/ws", Cookie=cookie, Origin="http://localhost:5000") as client:
        assert ask("/orders/7/ship").startswith("200 OK")
        assert json.loads(client.recv(PATIENCE)) == {"order": 7, "status": "shipped"}


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    name: function for name, function in list(globals().items()) if name.startswith(("fastapi_", "wsgi_"))
}
