"""What must hold of the projects of the pages about moving; see scenarios.py."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus

from tests.docs.scenarios import DJANGO_USERS, PATIENCE, Stage


def connection_manager_after(stage: Stage) -> None:
    with stage.connect("/ws/b") as b:
        with stage.connect("/ws/a") as a:
            a.send("hello")
            assert [a.recv(PATIENCE) for _ in range(2)] == ["You: hello", "a: hello"]
            assert b.recv(PATIENCE) == "a: hello"
        assert b.recv(PATIENCE) == "a left"


def django_channels_after(stage: Stage) -> None:
    cookie = stage.server.log().partition("cookie: ")[2].split()[0]
    with stage.connect("/ws", Cookie=f"sessionid={cookie}") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
        stage.post("/ship/1")
        assert json.loads(client.recv(PATIENCE)) == {"status": "shipped"}
    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws"):
        pass


def litestar_channels_after(stage: Stage) -> None:
    with stage.connect("/ws/news") as news, stage.connect("/ws/sport") as sport:
        publish(stage, "/publish/news", {"title": "first"})
        publish(stage, "/publish/sport", {"title": "goal"})
        assert json.loads(news.recv(PATIENCE)) == {"title": "first"}
        assert json.loads(sport.recv(PATIENCE)) == {"title": "goal"}
    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws/secret"):
        pass


def publish(stage: Stage, path: str, body: object) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(stage.server.http + path, json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def sse_starlette_after(stage: Stage) -> None:
    with stage.connect("/ws?channels=news") as client:  # a WebSocket gets the same
        stage.post("/publish?text=hello")
        assert client.recv(PATIENCE) == "hello"


def sse_starlette_page(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: stage.post("/publish?text=hello") or said)
    assert set(said) == {"hello"}


def python_socketio_after(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: len(said) == 2)
    assert sorted(said) == ["11: hello", "true"]


def spring_websocket_after(stage: Stage) -> None:
    def post(path: str, body: object) -> object:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(stage.server.http + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.load(response)

    with stage.connect("/websocket/11") as one, stage.connect("/websocket/11") as tab, stage.connect("/websocket/12"):
        assert post("/one/11", {"n": 1}) is True
        assert post("/one/13", {"n": 1}) is False
        assert post("/more", {"user_ids": ["12", "11"], "message": {"n": 2}}) == [1, 2]
        post("/all", {"n": 3})
        for client in (one, tab):
            assert [json.loads(client.recv(PATIENCE)) for _ in range(3)] == [{"n": 1}, {"n": 2}, {"n": 3}]
        one.send("hello")
        stage.until(lambda: "got: hello" in stage.server.log())


DJANGO_SITE = """
import sys
from django.urls import path
sys.modules["urls"] = sys.modules[__name__]
import views
urlpatterns = [path("ship/<user>", views.ship)]
"""

# What a step needs that its page does not show.
HIDDEN = {
    "django_channels_after": {
        "app.py": DJANGO_USERS.replace('SECRET_KEY="s"', 'SECRET_KEY="s", ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"]')
        + DJANGO_SITE
    }
}

SCENARIOS: dict[str, Callable[[Stage], None]] = {
    name: function for name, function in list(globals().items()) if name.endswith(("_after", "starlette_page"))
}
