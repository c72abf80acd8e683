"""A session over a stream of server-sent events, on any server."""

import random
import secrets
import time
from collections.abc import Mapping
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ..disconnect import Disconnect
from ..errors import BrokerError, NotRunningError
from ..heartbeat import UnansweredPings
from ..hub.hub import Hub
from ..hub.tracking import go_live, new_subscription, track
from ..logs import logger, printable
from ..messages import Payload, StreamPosition
from ..protocols import WireMessage, sse
from ..push import Push
from ..session import Session, State, TrackedSubscription
from .handshake import Refusal, admit, identify, seconds_left, wanted_channels
from .interrupt import make_interrupt
from .websocket import remote

# What a client is asked to wait before it comes back, in seconds; jitter spreads those of one server over as much
# again.
_RETRY = 2.0

# What a receive loop that was told to end may take for that, in seconds: it has nothing to wait for.
_QUIET_TIME = 1.0

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has many
}


class SseCarrier:
    """One stream, as the hub sees it."""

    __slots__ = ("_closed", "_over", "_places", "_quiet", "_send", "interrupt")

    transport = "sse"

    def __init__(self, send: Send) -> None:
        self._send = send
        self._places: dict[str, bytes] = {}
        self._over = False  # the receive loop has ended
        self._quiet: anyio.Event | None = None  # it was asked to end, and has
        self._closed: anyio.Event | None = None  # the end is sent, or never will be
        self.interrupt = make_interrupt()

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Answer with a stream."""
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": encoded})
        await self.write_body(sse.retry(_jittered()))

    async def write_body(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the stream."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def stands(self, channel: str, position: StreamPosition | None) -> None:
        """The client's place in a channel is known, or with None of no interest any more."""
        if position is None:
            self._places.pop(channel, None)
        else:
            self._places[channel] = sse.place(channel, position)

    @property
    def here(self) -> bytes:
        """What tells a client its place, and nothing else: an event without data is none."""
        return sse.id_line(self._places.values()) + b"\n" if self._places else b""

    def write(self, frames: bytes) -> bool:
        """Return False: each session has ids of its own."""
        return False

    async def send(self, message: WireMessage) -> None:
        """Send some events."""
        if isinstance(message, sse.Events):
            await self.write_body(self.numbered(message.events))

    def numbered(self, events: list[sse.Event]) -> bytes:
        """Return events, each with the id that is right once the client has got it."""
        parts, places = [], self._places
        for event in events:
            if event.channel is not None and event.place is not None:
                places[event.channel] = event.place
                parts.append(sse.id_line(places.values()))
            parts.append(event.body)
        return b"".join(parts)

    async def flush(self) -> None:
        """Return: a send has waited for all that there was to wait for."""

    async def close(self, disconnect: Disconnect) -> None:
        """End the receive loop and the stream; the client is told when to come back, or why not to."""
        if self._over:
            return
        self._quiet, self._closed = anyio.Event(), anyio.Event()
        try:
            self.interrupt.cancel()
            with anyio.move_on_after(_QUIET_TIME):
                await self._quiet.wait()
            about = {"code": disconnect.code, "reason": disconnect.reason}
            last = sse.retry(_jittered()) if disconnect.reconnect else sse.told("disconnect", about)
            await self.write_body(last, more=False)
        finally:
            self._closed.set()

    async def finish(self, within: float) -> None:
        """The receive loop has ended: stay until the end is sent, as servers close when an application ends."""
        self._over = True
        if self._quiet is not None and self._closed is not None:
            self._quiet.set()
            with anyio.move_on_after(within):
                await self._closed.wait()

    def stop(self, *, abort: bool = False) -> None:
        """End the receive loop."""
        if abort and self._closed is not None:
            self._closed.set()
        self.interrupt.cancel()


def _jittered() -> float:
    return random.uniform(_RETRY, 2 * _RETRY)  # noqa: S311  # spreads many clients


class SseClient:
    """The other end, which keeps the position that the last event's id named."""

    def __init__(self, hub: Hub, session: Session, carrier: SseCarrier) -> None:
        self._hub = hub
        self._session = session
        self._carrier = carrier

    async def enter(self, channels: list[str], last_event_id: str) -> bytes:
        """Put the session into its channels; return what it has missed, and where it stands.

        Raises:
            BrokerError: the broker did not answer.
        """
        known, lost, missed = sse.positions(last_event_id, channels), [], []
        for channel in channels:
            subscription = new_subscription(self._hub, channel, server_side=True)
            recovery = await track(self._hub, self._session, channel, subscription, known.get(channel))
            if recovery is None:
                continue
            if recovery.recovered:
                self._carrier.stands(channel, known[channel])
                missed += recovery.publications
            else:
                self._carrier.stands(channel, recovery.position)
                lost += [channel] if channel in known else []
        told = sse.told("gap", {"channels": lost}) if lost else b""
        events = [event for item in missed if (message := sse.CODEC.encode(item)) for event in message.events]
        return told + self._carrier.here + self._carrier.numbered(events)

    def gap(self, channel: str, subscription: TrackedSubscription) -> None:
        """A subscription cannot be continued: the client comes back with the place that it has."""
        self._hub.close(self._session, Disconnect.INSUFFICIENT_STATE)

    async def subscribe_by_server(self, channel: str, data: Payload | None, since: StreamPosition | None) -> None:
        """The application subscribes it; what it gets first is what came after ``since``."""
        hub, session = self._hub, self._session
        if channel in session.subscriptions or session.state is not State.OPEN:
            return
        subscription = new_subscription(hub, channel, server_side=True)
        try:
            recovery = await track(hub, session, channel, subscription, since)
        except BrokerError:
            hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        if recovery is not None and subscription.active:
            self._carrier.stands(channel, recovery.position)
            for item in recovery.publications:
                if (message := sse.CODEC.encode(item)) is not None:
                    hub.send_wire(session, message)
        go_live(hub, session, channel)

    def unsubscribe_by_server(self, channel: str) -> None:
        """The application takes it out of a channel."""
        self._hub.leave(self._session, channel)
        self._carrier.stands(channel, None)

    def next_deadline(self) -> float | None:
        """Return None: nothing is due at any time."""
        return None

    def check(self, now: float) -> None:
        """Do nothing."""


async def serve_sse(push: Push, scope: Scope, receive: Receive, send: Send, path_params: Mapping[str, Any]) -> None:
    """Serve one HTTP scope of the event stream to its end. Raises nothing but a cancellation."""
    request = Request(scope, receive)
    origin = request.headers.get("origin")
    # A page of another origin reads the answer only with this; which origins may come, ``identify`` decides.
    allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}
    if scope["method"] != "GET":
        await PlainTextResponse("only GET", 405, {"Allow": "GET"})(scope, receive, send)
        return
    carrier = SseCarrier(send)
    try:
        hub, session, channels = await _admit(push, scope, carrier, path_params)
    except Refusal as refusal:
        await _refuse(refusal, carrier, {**_HEADERS, **allowed}, scope, receive, send)
        return
    last_event_id = request.headers.get("last-event-id") or request.query_params.get("lastEventId", "")
    try:
        await _run(hub, session, carrier, receive, channels, last_event_id, {**_HEADERS, **allowed})
    finally:
        hub.release(session)


async def _refuse(
    refusal: Refusal, carrier: SseCarrier, headers: Mapping[str, str], scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer with the status that says why, or, where it is only a matter of time, with when to come back.

    EventSource never comes back after any status but 200.
    """
    if refusal.status in (429, 503):
        await carrier.begin(headers)
        await carrier.write_body(b"", more=False)
    else:
        await PlainTextResponse(str(refusal), refusal.status)(scope, receive, send)


async def _admit(
    push: Push, scope: Scope, carrier: SseCarrier, path_params: Mapping[str, Any]
) -> tuple[Hub, Session, list[str]]:
    """Return the session that a client may have, for which a place is kept, and its channels; or raise Refusal."""
    try:
        hub = push.hub
    except NotRunningError as error:
        logger.error("%s; a test client must be entered: with TestClient(app) as client", error)
        raise Refusal(503, "push runs on another event loop") from None
    credentials = await identify(push, scope, path_params)
    now, interval = time.monotonic(), push.settings.ping_interval
    first = random.uniform(interval / 2, interval)  # noqa: S311  # spreads many clients
    heartbeat = UnansweredPings(interval, now + first)
    session = Session(secrets.token_urlsafe(12), credentials.user, carrier, sse.CODEC, hub, heartbeat, now)
    session.remote = remote(scope)
    session.info = credentials.info
    left = seconds_left(credentials)
    session.expires_at = None if left is None else now + left
    channels = await wanted_channels(push, scope, session, credentials)
    await admit(hub, session)
    return hub, session, list(dict.fromkeys([*hub.own_channels(session), *channels]))


async def _run(
    hub: Hub,
    session: Session,
    carrier: SseCarrier,
    receive: Receive,
    channels: list[str],
    last_event_id: str,
    headers: Mapping[str, str],
) -> None:
    disconnect = Disconnect.SHUTDOWN  # a cancellation; every other end gives its own reason
    try:
        with carrier.interrupt:
            await carrier.begin(headers)
            disconnect = await _stream(hub, session, carrier, receive, channels, last_event_id)
        await carrier.finish(hub.settings.send_timeout)
    except Exception as error:  # noqa: BLE001  # whatever a server raises: the client has left
        logger.debug("an event stream ended: %s", printable(repr(error)))
        disconnect = Disconnect.CONNECTION_LOST
    finally:
        hub.ended(session, disconnect)


async def _stream(
    hub: Hub, session: Session, carrier: SseCarrier, receive: Receive, channels: list[str], last_event_id: str
) -> Disconnect:
    """Bring a client up to date, let publications through, and return when it is gone."""
    client = session.client = SseClient(hub, session, carrier)
    hub.enter(session)
    try:
        await carrier.write_body(await client.enter(channels, last_event_id))
    except BrokerError as error:
        logger.debug("a client could not be brought up to date: %s", error)
        hub.close(session, Disconnect.INSUFFICIENT_STATE)
    else:
        for channel in channels:
            go_live(hub, session, channel)
        hub.call(session, hub.hooks.on_connect)
    while (await receive())["type"] != "http.disconnect":
        pass
    return Disconnect.CONNECTION_LOST
