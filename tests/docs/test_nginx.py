"""The configurations of docs/guides/nginx.md, in a real nginx."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from asgi_push import Push, PushMiddleware, Session
from tests import servers
from tests.docs.nginx import LIMIT, MACHINE, SITE, changed, run_nginx
from tests.servers import PATIENCE

READ_TIMEOUT = 3  # seconds, in place of nginx's 60; the heartbeats below are shorter by as much
HEARTBEAT = 0.3


async def greet(session: Session) -> None:
    await session.send({"remote": session.remote})


app = PushMiddleware(Starlette(), Push(on_connect=greet, everybody=False, sse=True))


@pytest.fixture(scope="module")
def application(serve: servers.Serve) -> Iterator[servers.Server]:
    """A server whose own pings do not keep anything open."""
    env = {"ASGI_PUSH_PING_INTERVAL": str(HEARTBEAT)}
    with serve("tests.docs.test_nginx:app", env=env, args=["--ws-ping-interval", "300"]) as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, and its key in the same file."""
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    openssl = [servers.find_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    options = ["-nodes", "-keyout", path, "-out", path.with_name("certificate.pem"), "-subj", "/CN=test"]
    subprocess.run(
        [*openssl, *options, "-addext", f"subjectAltName=IP:{servers.HOST}"], check=True, capture_output=True
    )
    path.write_text(path.read_text() + path.with_name("certificate.pem").read_text())
    return path


Start = Callable[..., AbstractContextManager[servers.Server]]


@pytest.fixture
def nginx(application: servers.Server, certificate: Path, tmp_path: Path) -> Start:
    """`with nginx(configuration) as server:` runs it with ports, certificate and times of the test."""

    def run(site: str, machine: str = "events { }") -> AbstractContextManager[servers.Server]:
        port = servers.free_port()
        changes = {
            "listen 443": f"listen {servers.HOST}:{port}",
            "listen 80": f"listen {servers.HOST}:{servers.free_port()}",
            "127.0.0.1:8000": f"{servers.HOST}:{application.port}",
            "/etc/ssl/example.org.pem": str(certificate),
            "/etc/ssl/example.org.key": str(certificate),
        }
        site = f"proxy_read_timeout {READ_TIMEOUT}s;\n{changed(site, changes)}"
        return run_nginx(site, port=port, folder=tmp_path, machine=machine)

    return run


def opened(server: servers.Server, certificate: Path, path: str, **options: Any) -> ClientConnection:
    context = ssl.create_default_context(cafile=str(certificate.with_name("certificate.pem")))
    url = f"wss://{servers.HOST}:{server.port}{path}"
    return connect(url, ssl=context, open_timeout=PATIENCE, ping_interval=None, **options)


class Pulse:
    """How long it took from one heartbeat to the next. A machine that is too slow for nginx proves nothing."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._longest = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now

    def missed(self) -> bool:
        self.beat()
        return self._longest >= READ_TIMEOUT / 2


def test_heartbeats_outlive_the_read_timeout(nginx: Start, certificate: Path) -> None:
    """nginx ends a connection on which nothing is said; the heartbeats of either protocol keep theirs."""
    with nginx(SITE, MACHINE) as server:
        while not heartbeats_came(server, certificate):
            pass


def heartbeats_came(server: servers.Server, certificate: Path) -> bool:
    """Let nginx end a silent connection and none of the others; False if the machine was too slow for that."""
    with (
        opened(server, certificate, "/connection/websocket") as sdk,
        opened(server, certificate, "/ws") as plain,
        opened(server, certificate, "/ws") as silent,
    ):
        pulse = Pulse()
        try:
            sdk.send('{"id": 1, "connect": {}}')
            assert json.loads(sdk.recv(PATIENCE))["connect"]["ping"]
            for socket in (sdk, plain, silent):
                assert "remote" in socket.recv(PATIENCE)
            over = False
            while not over:
                over = closed(silent, HEARTBEAT)
                plain.send("ping")
                assert plain.recv(PATIENCE) == "pong"
                assert sdk.recv(PATIENCE) == "{}"
                sdk.send("{}")
                pulse.beat()
        except ConnectionClosed:
            if pulse.missed():
                return False
            raise
        assert silent.close_code == 1006
        return True


def test_events_are_not_kept(nginx: Start, certificate: Path) -> None:
    """A stream of events comes through as it is written, and its heartbeats outlive the read timeout."""
    with nginx(SITE) as server:
        while not comments_came(server, certificate):
            pass


def comments_came(server: servers.Server, certificate: Path) -> bool:
    """Read a stream for longer than nginx waits; False if the machine was too slow for that."""
    context = ssl.create_default_context(cafile=str(certificate.with_name("certificate.pem")))
    connection = HTTPSConnection(servers.HOST, server.port, context=context, timeout=PATIENCE)
    with closing(connection):
        connection.request("GET", "/push/events")
        response = connection.getresponse()
        lines = (line.strip() for line in iter(response.readline, b""))
        assert next(line for line in lines if b"remote" in line).startswith(b"data:")
        begin, pulse = time.monotonic(), Pulse()
        while time.monotonic() < begin + READ_TIMEOUT + 2 * HEARTBEAT:
            if next((line for line in lines if line.startswith(b":")), None) is None:
                assert pulse.missed(), "nginx has ended it"
                return False
            pulse.beat()
        return True


def closed(socket: ClientConnection, timeout: float) -> bool:
    """Wait so long for the other side to close; nothing else is to come."""
    try:
        pytest.fail(f"it said {socket.recv(timeout)!r}")
    except TimeoutError:
        return False
    except ConnectionClosedError:
        return True


def test_host_and_address_come_through(nginx: Start, certificate: Path) -> None:
    """A page of the same host is let in and one of another is not, and the session has the client's own address."""
    with nginx(SITE) as server:
        origin = f"https://{servers.HOST}:{server.port}"
        headers = {"X-Forwarded-For": "203.0.113.9"}  # what a client may write
        options = {"origin": origin, "additional_headers": headers, "source_address": ("127.0.0.2", 0)}
        with opened(server, certificate, "/ws", **options) as socket:
            assert json.loads(socket.recv(PATIENCE))["remote"][0] == "127.0.0.2"
        with (
            pytest.raises(InvalidStatus, match="403"),
            opened(server, certificate, "/ws", origin="https://other.example"),
        ):
            pass


def test_attempts_are_limited(nginx: Start, certificate: Path) -> None:
    """Beyond the burst an address is told 429, but not for what is no WebSocket."""
    site = LIMIT.replace("burst=100", "burst=1").replace("5r/s", "1r/m") + SITE
    with nginx(site) as server:
        for _ in range(2):
            with opened(server, certificate, "/ws"):
                pass
        with pytest.raises(InvalidStatus, match="429"), opened(server, certificate, "/ws"):
            pass
        url = f"https://{servers.HOST}:{server.port}/"
        curl = [servers.find_program("curl"), "--insecure", "--silent", "-o", "/dev/null", "-w", "%{http_code}", url]
        assert subprocess.run(curl, check=True, capture_output=True, text=True).stdout == "404"
