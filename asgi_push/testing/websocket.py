"""A WebSocket client without a network, on the event loop of the test."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import anyio

from ..disconnect import Disconnect
from ..runtime.tasks import run_detached
from .mailbox import Mailbox

# How long a test waits by default, in seconds: much longer than anything takes that works.
PATIENCE = 5.0

_SHOWN = 10  # messages, in the text of an error

# What clients do not encode in a path (RFC 3986, section 3.3), and what is encoded already.
_IN_A_PATH = "/%:@!$&'()*+,;=~"

AnyMessage = dict[str, Any]


class Refused(Exception):
    """The handshake was refused.

    ``status`` and ``body`` are those of the HTTP answer. A server makes 403 of a close before the
    accept.
    """

    def __init__(self, status: int, body: str = "") -> None:
        super().__init__(f"{status} {body}".rstrip())
        self.status = status
        self.body = body


class WebSocket:
    """One client of ``serve``; ``async with server.connect(path) as socket`` gives it.

    Each method that waits takes a ``timeout`` in seconds. If nothing comes by then it raises
    AssertionError, which says what had come before.

    Attributes:
        subprotocol: the one that the application chose, None for none.
        received: what was received so far, as text and bytes.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], scope: AnyMessage) -> None:
        self.subprotocol: str | None = None
        self.received: list[str | bytes] = []
        self._app = app
        self._scope = scope
        self._error: BaseException | None = None
        self._cancel = anyio.CancelScope()
        self._finished = anyio.Event()
        self._to_app = Mailbox()
        self._from_app = Mailbox()
        self._task: object = None

    # -- what a test does ---------------------------------------------------------------

    async def send_text(self, text: str) -> None:
        """Send a text message."""
        self._to_app.put({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._to_app.put({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any) -> None:
        """Send data as JSON, in a text message."""
        await self.send_text(json.dumps(data))

    async def receive_text(self, timeout: float = PATIENCE) -> str:  # noqa: ASYNC109  # as documented
        """Return the next message, which must be text."""
        message = await self._receive(timeout)
        if not isinstance(message, str):
            raise AssertionError(f"a binary message came, and no text: {message!r:.200}")
        return message

    async def receive_bytes(self, timeout: float = PATIENCE) -> bytes:  # noqa: ASYNC109
        """Return the next message, which must be binary."""
        message = await self._receive(timeout)
        if not isinstance(message, bytes):
            raise AssertionError(f"a text came, and no binary message: {message!r:.200}")
        return message

    async def receive_json(self, timeout: float = PATIENCE) -> Any:  # noqa: ASYNC109
        """Return the data of the next message, which must be JSON."""
        text = await self.receive_text(timeout)
        try:
            return json.loads(text)
        except ValueError:
            raise AssertionError(f"a text came that is no JSON: {text!r:.200}") from None

    async def receive_until(
        self,
        wanted: Callable[[Any], object],
        timeout: float = PATIENCE,  # noqa: ASYNC109
    ) -> Any:
        """Return the next message for which ``wanted(message)`` is true, and skip those before it.

        ``wanted`` gets decoded JSON, else the text or the bytes.
        """
        with anyio.move_on_after(timeout):
            while True:
                message = _decoded(await self._receive(timeout))
                if wanted(message):
                    return message
        raise AssertionError(f"what was wanted did not come in {timeout:g} s; {self._history()}")

    async def receive_close(self, timeout: float = PATIENCE) -> Disconnect:  # noqa: ASYNC109
        """Return the code and the reason with which the application closes.

        A message before that is an error.
        """
        event = await self._event(timeout)
        if event["type"] != "websocket.close":
            raise AssertionError(f"a message came, and no close: {_data(event)!r:.200}")
        return Disconnect(event.get("code", 1000), event.get("reason") or "")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side, and wait until the application has noticed.

        Raises:
            AssertionError: the application still serves this WebSocket after 5 s.
            Exception: what the application raised.
        """
        self._to_app.put({"type": "websocket.disconnect", "code": code, "reason": reason})
        with anyio.move_on_after(PATIENCE):
            await self._finished.wait()
        if not self._finished.is_set():
            self._cancel.cancel()
            await self._finished.wait()
            raise AssertionError(
                f"the application still served {self._scope['path']} {PATIENCE:g} s after its "
                "client had closed"
            )
        if self._error is not None:
            raise self._error

    # -- what a server does -------------------------------------------------------------

    async def open(self) -> None:
        """Start the application for this WebSocket, and wait until it accepts.

        Raises:
            Refused: it refuses.
        """
        self._to_app.put({"type": "websocket.connect"})
        self._task = run_detached(self._run)
        event = await self._event(PATIENCE)
        match event["type"]:
            case "websocket.accept":
                self.subprotocol = event.get("subprotocol")
                return
            case "websocket.close":
                refused = Refused(403)
            case "websocket.http.response.start":
                body = await self._event(PATIENCE)
                refused = Refused(event["status"], bytes(body.get("body", b"")).decode())
            case other:
                raise AssertionError(f"the application sent {other!r} before it accepted")
        await self.close(1006)
        raise refused

    async def _run(self) -> None:
        try:
            with self._cancel:
                await self._app(self._scope, self._next_for_app, self._take)
        except BaseException as error:  # noqa: BLE001  # close and receive raise it
            self._error = error
        finally:
            self._finished.set()
            self._from_app.put({"type": "ended"})

    async def _next_for_app(self) -> AnyMessage:
        message: AnyMessage = await self._to_app.get()
        if message["type"] == "websocket.disconnect":
            self._to_app.put(message)  # servers say it as often as they are asked
        return message

    async def _take(self, event: AnyMessage) -> None:
        self._from_app.put(event)

    async def _event(self, timeout: float) -> AnyMessage:  # noqa: ASYNC109
        event: AnyMessage | None = None
        with anyio.move_on_after(timeout):
            event = await self._from_app.get()
        if event is None:
            raise AssertionError(f"nothing came in {timeout:g} s; {self._history()}")
        if event["type"] == "ended":
            self._from_app.put(event)
            if self._error is not None:
                raise self._error
            raise AssertionError(f"the application has ended this WebSocket; {self._history()}")
        return event

    async def _receive(self, timeout: float) -> str | bytes:  # noqa: ASYNC109
        event = await self._event(timeout)
        if event["type"] == "websocket.close":
            self._from_app.items.appendleft(event)  # for receive_close
            reason = f"{event.get('code', 1000)} {event.get('reason') or ''}".rstrip()
            raise AssertionError(f"the application closed ({reason}); {self._history()}")
        message = _data(event)
        self.received.append(message)
        return message

    def _history(self) -> str:
        if not self.received:
            return f"nothing had come to {self._scope['path']} before"
        last = ", ".join(f"{message!r:.200}" for message in self.received[-_SHOWN:])
        return f"before, {len(self.received)} came to {self._scope['path']}: {last}"


def _data(event: AnyMessage) -> str | bytes:
    text = event.get("text")
    return text if isinstance(text, str) else bytes(event.get("bytes") or b"")


def _decoded(message: str | bytes) -> Any:
    if isinstance(message, bytes):
        return message
    try:
        return json.loads(message)
    except ValueError:
        return message


def websocket_scope(
    path: str,
    headers: Mapping[str, str],
    cookies: Mapping[str, str],
    subprotocols: Iterable[str],
) -> AnyMessage:
    """Return the scope of a WebSocket, as a server makes it."""
    path, _, query = path.partition("?")
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    if cookies:
        raw.append(
            (b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode())
        )
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": unquote(path),
        "raw_path": quote(path, safe=_IN_A_PATH).encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"testserver"), *raw],
        "client": ("127.0.0.1", 50_000),
        "server": ("testserver", 80),
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}},
    }
