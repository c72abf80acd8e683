"""Services as the world has them, on this machine: mail, webhooks of two messengers, a push service."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import apprise
import http_ece
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from asgi_push import Publication
from asgi_push.messages import Payload
from tests.servers import PATIENCE, free_port

with warnings.catch_warnings():  # of a library of one of the many services that are loaded here
    warnings.simplefilter("ignore")
    apprise.Apprise.instantiate("json://localhost")


def publication(data: str | bytes | dict[str, Any]) -> Publication:
    """What the hook is called with: something sent to user 11."""
    if isinstance(data, str):
        return Publication("#11", Payload("text", data.encode()))
    if isinstance(data, bytes):
        return Publication("#11", Payload("binary", data))
    return Publication("#11", Payload("json", json.dumps(data).encode()))


# -- mail -------------------------------------------------------------------------------------------


@dataclass
class Mailbox:
    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    refuse: bool = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse:
            return "554 no"
        assert isinstance(envelope.content, bytes)
        self.mails.append(
            email.message_from_bytes(envelope.content, policy=email.policy.default)  # type: ignore[arg-type]
        )
        return "250 OK"

    def url(self, address: str) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=shop@example.com&to={address}"


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, ready_timeout=PATIENCE)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


# -- HTTP -------------------------------------------------------------------------------------------


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class HttpServer:
    answer: Callable[[Request], Answer]
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def http_server(answer: Callable[[Request], Answer]) -> Iterator[HttpServer]:
    server = HttpServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(parts.path, query, headers, body)
            server.requests.append(request)
            status, headers, body = server.answer(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client has gone

    http = Quiet(("127.0.0.1", 0), Handler)
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


# -- messengers, in the forms that their documentation has -------------------------------------------


def dingtalk(secret: str) -> Callable[[Request], Answer]:
    """A robot of DingTalk that asks for a signature, as its security settings may."""

    def answer(request: Request) -> Answer:
        stamp = request.query.get("timestamp", "")
        digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
        sign = unquote(request.query.get("sign", ""))
        if abs(int(stamp) / 1000 - time.time()) > 3600 or sign != base64.b64encode(digest).decode():
            return 403, {}, b'{"errcode": 310000, "errmsg": "sign not match"}'
        return _messenger(request)

    return answer


def wecom(request: Request) -> Answer:
    """A robot of WeCom, whose key is all that it asks for."""
    return _messenger(request) if request.query.get("key") else (404, {}, b"")


def _messenger(request: Request) -> Answer:
    message = json.loads(request.body)
    assert message["msgtype"] == "text"
    assert isinstance(message["text"]["content"], str)
    assert request.headers["content-type"].startswith("application/json")
    return 200, {"content-type": "application/json"}, b'{"errcode": 0, "errmsg": "ok"}'


# -- a push service, and the browsers that it serves --------------------------------------------------


class Browser:
    """What a browser keeps of a subscription: the private key and the secret."""

    def __init__(self, service: str, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._secret = hashlib.sha256(name.encode()).digest()[:16]
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.path = f"/push/{name}"
        self.subscription = {
            "endpoint": service + self.path,
            "expirationTime": None,
            "keys": {"p256dh": base64url(point), "auth": base64url(self._secret)},
        }

    def decrypt(self, body: bytes) -> Any:
        """What the service worker gets of a message (RFC 8291)."""
        plain = http_ece.decrypt(body, private_key=self._key, auth_secret=self._secret, version="aes128gcm")
        return json.loads(plain)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class PushService:
    """Takes messages as RFC 8030 has it; by default it says 201 to all."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}

    def __call__(self, request: Request) -> Answer:
        assert request.headers["content-encoding"] == "aes128gcm"
        assert int(request.headers["ttl"]) >= 0
        return self.answers.get(request.path, (201, {"location": "/message/1"}, b""))
