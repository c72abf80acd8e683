"""What must hold of each project of the documentation: one function for each step, named after its page and itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests import servers
from tests.servers import PATIENCE

BROWSER = Path(__file__).parent / "browser"


@dataclass(frozen=True)
class Stage:
    server: servers.Server
    open_page: Callable[[], Page]
    folder: Path

    @cached_property
    def page(self) -> Page:
        """The browser's page, for those who look at it."""
        return self.open_page()

    def post(self, path: str, **headers: str) -> object:
        """POST to the application; return its JSON."""
        request = urllib.request.Request(self.server.http + path, method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.loads(response.read() or "null")

    def connect(self, path: str, **headers: str) -> ClientConnection:
        """Open a WebSocket without a browser."""
        return connect(self.server.ws + path, additional_headers=headers, open_timeout=PATIENCE)

    def open_script(self) -> list[str]:
        """Open a page with an element #app and the project's page.js; return its console, which grows."""
        said: list[str] = []
        self.page.on("console", lambda message: said.append(message.text) if message.type == "log" else None)
        self.page.goto(self.server.http + "/empty")  # the server's own page, whatever it holds, and not one made here:
        self.page.set_content('<div id="app"></div>')  # Chromium lets that one reach no local address
        self.page.add_script_tag(content=bundle(self.folder / "page.js"), type="module")
        return said

    def until(self, happened: Callable[[], object]) -> None:
        """Let the browser go on until something has happened."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            self.page.wait_for_timeout(20)


def install_modules() -> Path:
    """Return the folder of what the JavaScript of the documentation imports; installs that on first use."""
    modules, lock = BROWSER / "node_modules", BROWSER / "package-lock.json"
    installed = modules / ".package-lock.json"
    with servers.alone(BROWSER):
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            npm = servers.find_program("npm")
            subprocess.run([npm, "ci"], cwd=BROWSER, check=True, capture_output=True, timeout=300)
    return modules


def bundle(script: Path) -> str:
    """Return a script with all that it imports in one piece."""
    modules = install_modules()
    define = "--define:process.env.NODE_ENV='production'"
    command = [modules / ".bin" / "esbuild", script, "--bundle", "--format=esm", define]
    env = {**os.environ, "NODE_PATH": str(modules)}
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- README -----------------------------------------------------------------------------------------------------------


def readme_hello(stage: Stage) -> None:
    with stage.connect("/websocket/11") as mine, stage.connect("/websocket/12") as other:
        stage.post("/orders/7/ship")
        assert json.loads(mine.recv(PATIENCE)) == {"order": 7, "status": "shipped"}
        other.send("ping")
        assert other.recv(PATIENCE) == "pong", "nothing came before it"


def readme_page(stage: Stage) -> None:
    said = stage.open_script()
    ship_until(stage, lambda: said)
    assert said == ["shipped"]


index_hello = readme_page


def ship_until(stage: Stage, arrived: Callable[[], object]) -> None:
    """Wait for the page's WebSocket and ship once."""
    stage.until(lambda: "accepted" in stage.server.log())
    stage.post("/orders/7/ship")
    stage.until(arrived)


# -- Quickstart -------------------------------------------------------------------------------------------------------


def lines_of(page: Page) -> list[object]:
    return [json.loads(text) for text in page.locator("#log li").all_inner_texts()]


SHIPPED = {"order": 7, "status": "shipped"}


def quickstart_hello(stage: Stage) -> None:
    stage.page.goto(stage.server.http + "/page/?user=11")
    stage.until(lambda: stage.post("/orders/7/ship?user=11") == {"reached": 1})
    stage.until(lambda: lines_of(stage.page) == [SHIPPED])
    with stage.connect("/websocket/11"):
        assert stage.post("/orders/7/ship?user=11") == {"reached": 2}
    assert "not verified" in stage.server.log()


def quickstart_reconnect(stage: Stage) -> None:
    page = stage.page
    page.clock.install()
    page.goto(stage.server.http + "/page/?user=11")
    page.locator("#state", has_text="open").wait_for()
    stage.post("/orders/7/ship?user=11")
    stage.until(lambda: lines_of(page) == [SHIPPED])
    with paused(stage.server):
        page.clock.run_for(25_000 + 10_000)  # a heartbeat, and no answer
        page.locator("#state", has_text="lost").wait_for()
    stage.until(lambda: page.clock.run_for(1_000) or page.locator("#state", has_text="open").count())
    stage.until(lambda: page.clock.run_for(30_000) or stage.post("/orders/8/ship?user=11") != {"reached": 0})
    stage.until(lambda: {"order": 8, "status": "shipped"} in lines_of(page))
    stage.server.stop(PATIENCE)
    page.locator("#state", has_text="lost").wait_for()


@contextmanager
def paused(server: servers.Server) -> Iterator[None]:
    """A server that says nothing and closes nothing, as behind a cut that nobody tells of."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def quickstart_users(stage: Stage) -> None:
    with pytest.raises(InvalidStatus) as refused, stage.connect("/ws"):
        pass
    assert refused.value.response.status_code == 401
    stage.page.goto(stage.server.http + "/page/?user=11")
    stage.page.locator("#state", has_text="open").wait_for()
    assert stage.post("/orders/7/ship?user=11") == {"reached": 1}
    stage.until(lambda: lines_of(stage.page) == [SHIPPED])


def quickstart_channels(stage: Stage) -> None:
    stage.page.goto(stage.server.http + "/page/?user=11&channels=order:7,secret:1")
    stage.page.locator("#state", has_text="open").wait_for()
    stage.post("/orders/8/follow?user=11")
    assert stage.post("/orders/8/move?place=Turin") == {"reached": 1, "offset": 1}
    stage.until(lambda: lines_of(stage.page) == [{"order": 8, "place": "Turin"}])


def quickstart_hooks(stage: Stage) -> None:
    page = stage.page
    page.goto(stage.server.http + "/page/?user=11")
    stage.until(lambda: lines_of(page) == [{"hello": "11", "tabs": 1}])
    cookie = page.context.cookies()[0]["value"]
    with stage.connect("/ws", Cookie=f"login={cookie}") as client:
        assert json.loads(client.recv(PATIENCE)) == {"hello": "11", "tabs": 2}
        client.send("good morning")
        assert json.loads(client.recv(PATIENCE)) == {"you said": "good morning"}
        client.send("bye")
        with pytest.raises(Exception, match=r"4500.*as you wished"):
            client.recv(PATIENCE)
    stage.until(lambda: "11 left: 4500 as you wished" in stage.server.log())


def quickstart_thread(stage: Stage) -> None:
    stage.page.goto(stage.server.http + "/page/?user=11")
    stage.page.locator("#state", has_text="open").wait_for()
    assert stage.post("/orders/7/cancel?user=11") == {"reached": 1}


# -- In your framework ------------------------------------------------------------------------------------------------


def ships(stage: Stage) -> None:
    with stage.connect("/websocket/11") as client:
        assert stage.post("/ship/11") == {"reached": 1}
        assert json.loads(client.recv(PATIENCE)) == {"status": "shipped"}


frameworks_fastapi = frameworks_starlette = frameworks_quart = frameworks_litestar = frameworks_asgi = ships


def frameworks_django(stage: Stage) -> None:
    ships(stage)
    assert stage.post("/cancel/12") == {"reached": 0}


DJANGO_USERS = """
from pathlib import Path
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command

DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).with_name("db.sqlite3")}
APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
settings.configure(DATABASES={"default": DATABASE}, INSTALLED_APPS=APPS, SECRET_KEY="s")
django = get_asgi_application()

from django.contrib.auth.models import User
from django.test import Client
from asgi_push import PushMiddleware
from live import push

call_command("migrate", verbosity=0)
client = Client()
client.force_login(User.objects.create(username="ada"))
print("cookie:", client.cookies["sessionid"].value, flush=True)
app = PushMiddleware(django, push)
"""


def frameworks_django_users(stage: Stage) -> None:
    cookie = stage.server.log().partition("cookie: ")[2].split()[0]
    with stage.connect("/ws", Cookie=f"sessionid={cookie}") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"
    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws", Cookie="sessionid=another"):
        pass


def frameworks_two_paths(stage: Stage) -> None:
    for path in ("/websocket/11", "/ws"):
        with stage.connect(path) as client:
            client.send("ping")
            assert client.recv(PATIENCE) == "pong"


# -- In the browser ---------------------------------------------------------------------------------------------------

MOUNT_VUE = """
    import { createApp, h, watch } from "vue";
    import { usePush } from "./usePush.js";
    const setup = () => {
      const state = usePush("/websocket/11", (order) => console.log(order.status));
      watch(state, (word) => console.log(word), { immediate: true, flush: "sync" });
      return () => h("div");
    };
    createApp({ setup }).mount("#app");
"""
MOUNT_REACT = """
    import { createElement, useEffect } from "react";
    import { createRoot } from "react-dom/client";
    import { usePush } from "./usePush.js";
    const App = () => {
      const state = usePush("/websocket/11", (order) => console.log(order.status));
      useEffect(() => console.log(state), [state]);
      return createElement("div");
    };
    createRoot(document.querySelector("#app")).render(createElement(App));
"""


def client(stage: Stage) -> None:
    """It takes no pong for a message, comes back after a silent cut, and stays away when it is asked to."""
    stage.page.clock.install()
    sockets: list[WebSocket] = []
    stage.page.on("websocket", lambda socket: sockets.append(socket))  # noqa: PLW0108  # it takes no builtin
    said = stage.open_script()
    stage.until(lambda: shipped(stage, said))
    pass_time(stage, 30)  # a heartbeat, and its answer
    stage.until(lambda: shipped(stage, said))
    with paused(stage.server):
        pass_time(stage, 40)
    # An attempt that it gave up meanwhile may be accepted now; it is back once it gets something.
    stage.until(lambda: shipped(stage, said) or pass_time(stage, 1))
    stage.post("/dismiss")
    stage.until(lambda: said[-1:] == ["ended"] and all(socket.is_closed() for socket in sockets))
    before = accepted(stage)
    pass_time(stage, 40)
    assert not shipped(stage, said)
    assert accepted(stage) == before
    states = [word for word, _ in groupby(word for word in said if word != "shipped")]
    assert states[:4] == ["connecting", "open", "lost", "open"]
    assert states[-1] == "ended"


def pass_time(stage: Stage, seconds: int) -> None:
    """Let the page's clock run, and the network come after it."""
    for _ in range(0, seconds, 2):
        stage.page.clock.run_for(2_000)
        stage.page.wait_for_timeout(5)


def accepted(stage: Stage) -> int:
    return stage.server.log().count("[accepted]")


def shipped(stage: Stage, said: list[str]) -> bool:
    """Ship once more; return whether the page said so."""
    before = said.count("shipped")
    stage.post("/orders/7/ship")
    stage.page.wait_for_timeout(20)
    return said.count("shipped") > before


def mounted(script: str) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        (stage.folder / "page.js").write_text(script)
        client(stage)

    return run


browsers_by_hand = browsers_reconnecting = client
browsers_vue = browsers_vueuse = mounted(MOUNT_VUE)
browsers_react = mounted(MOUNT_REACT)


# -- Security, Delivery, Close codes ----------------------------------------------------------------------------------


def security_hook(stage: Stage) -> None:
    with pytest.raises(InvalidStatus, match="401"), stage.connect("/ws"):
        pass
    with stage.connect("/ws", Cookie="key=k-123") as client:
        client.send("ping")
        assert client.recv(PATIENCE) == "pong"


def security_token(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: said)
    assert said == ["open, push"]
    assert "eyJ" not in stage.server.log(), "a token is in the log"
    token = stage.post("/token/11")
    only_token = "t => new Promise(done => { new WebSocket('/ws', ['bearer.' + t]).onclose = () => done('closed') })"
    assert stage.page.evaluate(only_token, token) == "closed"
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"token={token}"}):
        with stage.connect("/ws", **headers) as client:
            client.send("ping")
            assert client.recv(PATIENCE) == "pong"
    with pytest.raises(InvalidStatus, match="401"), stage.connect(f"/ws?token={token}"):
        pass


def security_log(stage: Stage) -> None:
    with stage.connect("/ws?token=hidden"):
        assert '"WebSocket /ws" [accepted]' in stage.server.log()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        stage.post("/?token=hidden")
    assert '"POST / HTTP/1.1" 404' in stage.server.log()
    assert "hidden" not in stage.server.log()


def delivery_catch_up(stage: Stage) -> None:
    def missed(offset: int, epoch: str) -> object:
        url = f"{stage.server.http}/missed/order:7?offset={offset}&epoch={epoch}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            return json.load(response)

    match missed(0, ""):
        case {"complete": True, "items": [], "offset": 0, "epoch": str(epoch)}:
            pass
        case other:
            pytest.fail(str(other))
    for number in range(102):
        stage.post(f"/publish/order:7?text={number}")
    assert missed(100, epoch) == {
        "complete": True,
        "items": [{"text": "100"}, {"text": "101"}],
        "offset": 102,
        "epoch": epoch,
    }
    assert missed(1, epoch) == {**missed(2, epoch), "complete": False}  # type: ignore[dict-item]
    assert missed(100, "another") == {"complete": False}


def delivery_undelivered(stage: Stage) -> None:
    stage.post("/tell/11?text=shipped")
    with urllib.request.urlopen(f"{stage.server.http}/letters", timeout=PATIENCE) as response:
        assert json.load(response) == []
    until = time.monotonic() + PATIENCE
    letters: list[str] = []
    while not letters and time.monotonic() < until:
        with urllib.request.urlopen(f"{stage.server.http}/letters", timeout=PATIENCE) as response:
            letters = json.load(response)
    assert letters == ["To 11: shipped"]


def close_codes_final(stage: Stage) -> None:
    said = stage.open_script()
    stage.until(lambda: said)
    assert said == ["3503,4500"]


# What a step needs that its page does not show.
HIDDEN = {"frameworks_django_users": {"app.py": DJANGO_USERS}}

SCENARIOS: dict[str, Callable[[Stage], None]] = {
    name: function
    for name, function in list(globals().items())
    if name.partition("_")[0]
    in ("readme", "index", "quickstart", "frameworks", "browsers", "security", "delivery", "close")
}
