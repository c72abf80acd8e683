"""One SDK client: its commands, in their order, and what the server does to it."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from starlette.requests import HTTPConnection

from ..disconnect import Disconnect
from ..errors import BrokerError, UnrecoverablePosition
from ..heartbeat import ServerHeartbeat
from ..hub.hooks import call_hook
from ..hub.hub import Refused
from ..logs import logger
from ..messages import Payload, Publication, StreamPosition
from ..protocols.centrifuge import Command, ErrorCode, SdkCodec, Violation
from ..protocols.centrifuge.commands import sparse
from ..push import Push, presence_stats
from ..session import EVERYBODY, Session, State, Subscription, check_channel, user_channel
from .connecting import EXPIRY_GRACE, credentials_of, credentials_of_token, seconds_to_live
from .errors import CommandError, Ended
from .subscribing import begin, check_token, go_live, new_subscription

# What a client is told of the server's version; the protocol wants one that is not empty.
VERSION = "asgi_push"

_UNSUBSCRIBED = {"code": 2000, "reason": "server unsubscribe"}
_INSUFFICIENT_STATE = {"code": 2500, "reason": "insufficient state"}
_EXPIRED = {"code": 2501, "reason": "subscription expired"}

Handler = Callable[["SdkClient", Command], Awaitable[Mapping[str, Any] | None]]


class SdkClient:
    """What an SDK client has said and is told; commands are carried out one after the other, in the background."""

    __slots__ = ("_connected", "_connection", "_expiring", "_greeted", "_hub", "_push", "_refused", "_session")

    def __init__(self, push: Push, session: Session, connection: HTTPConnection) -> None:
        self._push = push
        self._hub = push.hub
        self._session = session
        self._connection = connection
        self._greeted = False
        self._connected = False
        self._refused = False
        self._expiring: dict[str, float] = {}

    @property
    def _codec(self) -> SdkCodec:
        return cast(SdkCodec, self._session.codec)

    # -- what the client sends --------------------------------------------------------------------------------------

    def take(self, session: Session, frame: str | bytes) -> None:
        """Take a frame: pongs are seen to at once, commands in their order; waits for nothing."""
        if self._refused:
            return
        try:
            for command in self._codec.decode(frame):
                self._sort(command)
        except Violation as violation:
            self._hub.close(session, Disconnect(Disconnect.BAD_REQUEST.code, f"bad request: {violation}"))

    def _sort(self, command: Command) -> None:
        if not command.method:
            self._pong()
            return
        if (command.method == "connect") is self._greeted:
            raise Violation("the first command must be connect, and no other may be")
        self._greeted = True
        self._hub.heard(self._session)
        self._hub.call(self._session, self._carry_out, command, size=command.size)

    def _pong(self) -> None:
        self._session.last_seen = now = time.monotonic()
        if not self._session.heartbeat.beat(now):
            raise Violation("a pong that was not asked for")

    async def _carry_out(self, session: Session, command: Command) -> None:
        if self._refused or session.state is not State.OPEN:
            return
        try:
            result = await _HANDLERS[command.method](self, command)
        except CommandError as failure:
            self._fail(command, failure.error)
        except BrokerError:
            self._fail(command, ErrorCode.INTERNAL)
        except Violation as violation:
            self._hub.close(session, Disconnect(Disconnect.BAD_REQUEST.code, f"bad request: {violation}"))
        except Ended as ended:
            self._hub.close(session, ended.disconnect)
        except Exception:  # noqa: BLE001  # code of the application
            logger.exception("%s failed for session %s", command.method, session.id)
            self._fail(command, ErrorCode.INTERNAL)
        else:
            if result is not None:
                self._hub.send_wire(session, self._codec.reply(command.id, command.method, result))

    def _fail(self, command: Command, error: tuple[int, str, bool]) -> None:
        self._refused = command.method == "connect"
        if command.id:
            self._hub.send_wire(self._session, self._codec.error(command.id, error))

    # -- connect and refresh ----------------------------------------------------------------------------------------

    async def connect(self, command: Command) -> None:
        """Say who it is, and get its server-side subscriptions, each with what was missed."""
        session, hub, settings = self._session, self._hub, self._push.settings
        credentials = await credentials_of(self._push, self._connection, command)
        ttl = seconds_to_live(credentials.expires_at)
        if len(credentials.channels) > settings.max_channels:
            raise Ended(Disconnect.CONNECTION_LIMIT)
        try:
            hub.make_room(credentials.user)
        except Refused as refused:
            raise Ended(Disconnect.SHUTDOWN if not hub.accepting else Disconnect.CONNECTION_LIMIT) from refused
        if session.state is not State.OPEN:
            return
        session.user, session.info = credentials.user, credentials.info
        self._expire_after(ttl)
        now, interval = time.monotonic(), settings.ping_interval
        first = random.uniform(interval / 2, interval)  # noqa: S311  # spreads the pings of many clients
        session.heartbeat = ServerHeartbeat(interval, settings.pong_timeout, now, first)
        hub.enter(session)
        channels = list(dict.fromkeys([*hub.own_channels(session), *credentials.channels]))
        subs = await self._server_side(channels, command.params["subs"])
        result = sparse(
            client=session.id, version=VERSION, expires=ttl is not None, ttl=ttl, subs=subs, session=session.id
        )
        result |= {"ping": max(1, round(interval)), "pong": True}
        hub.send_wire(session, self._codec.reply(command.id, "connect", result))
        self._connected = True
        for channel in channels:
            go_live(hub, session, channel)
            hub.announce(session, channel, joined=True)
        await self._greet()

    async def _server_side(self, channels: list[str], requests: Mapping[str, Any]) -> dict[str, Any]:
        subs = {}
        for channel in channels:
            subscription = new_subscription(self._hub, server_side=True)
            subscription.join_leave = self._hub.namespaces.options(channel).join_leave
            await self._hub.join(self._session, channel, subscription)
            # An error is no answer to one of several: here a failed recovery is told by what is not in the result.
            request = requests.get(channel)
            subs[channel] = await begin(self._hub, self._session, channel, request and {**request, "flag": 0})
        return subs

    async def _greet(self) -> None:
        hook = self._hub.hooks.on_connect
        if hook is None:
            return
        try:
            await call_hook(hook, self._session)
        except Exception:  # noqa: BLE001  # code of the application
            logger.exception("on_connect failed for session %s", self._session.id)
            raise Ended(Disconnect.SERVER_ERROR) from None

    def _expire_after(self, ttl: int | None) -> None:
        self._session.expires_at = None if ttl is None else time.monotonic() + ttl + EXPIRY_GRACE
        self._hub.look_after(self._session)

    async def refresh(self, command: Command) -> Mapping[str, Any]:
        """Go on with a new token."""
        if not command.params["token"]:
            raise Violation("refresh without a token")
        if self._push.settings.token_secret is None:
            raise CommandError(ErrorCode.NOT_AVAILABLE)
        credentials = credentials_of_token(command.params["token"], self._push.settings.token_secret)
        if credentials.user != self._session.user:
            raise Ended(Disconnect.INVALID_TOKEN)
        ttl = seconds_to_live(credentials.expires_at)
        self._expire_after(ttl)
        return sparse(client=self._session.id, version=VERSION, expires=ttl is not None, ttl=ttl)

    # -- subscriptions ----------------------------------------------------------------------------------------------

    async def subscribe(self, command: Command) -> None:
        """Subscribe it to a channel that a token or ``authorize`` allows."""
        session, hub, channel = self._session, self._hub, _channel(command)
        if channel in session.subscriptions:
            raise CommandError(ErrorCode.ALREADY_SUBSCRIBED)
        if not hub.has_room_for_channel(session):
            raise CommandError(ErrorCode.LIMIT_EXCEEDED)
        subscription = new_subscription(hub, server_side=False)
        ttl = await self._allow(subscription, channel, command.params["token"])
        subscription.since = hub.fanout.number
        subscription.join_leave = hub.namespaces.options(channel).join_leave
        await hub.join(session, channel, subscription)
        result = await begin(hub, session, channel, command.params)
        result |= sparse(expires=ttl is not None, ttl=ttl)
        hub.send_wire(session, self._codec.reply(command.id, "subscribe", result))
        self._expire_subscription(channel, subscription, ttl)
        go_live(hub, session, channel)
        hub.announce(session, channel, joined=True)

    async def _allow(self, subscription: Subscription, channel: str, token: str) -> int | None:
        """Return if the channel is allowed, for how long; the subscription gets what the token says of it."""
        if token:
            found = check_token(token, self._push.settings.token_secret, self._session, channel)
            subscription.info = found.info
            return seconds_to_live(found.expires_at)
        await self._authorize(channel, "subscribe")
        return None

    async def _authorize(self, channel: str, action: str) -> None:
        session, authorize = self._session, self._push.authorize
        if action != "publish" and channel in (EVERYBODY, user_channel(session.user)):
            return
        if authorize is None or not await call_hook(authorize, session, channel, action):
            raise CommandError(ErrorCode.PERMISSION_DENIED)

    def _expire_subscription(self, channel: str, subscription: Subscription, ttl: int | None) -> None:
        if ttl is None:
            self._expiring.pop(channel, None)
            return
        subscription.expires_at = self._expiring[channel] = time.monotonic() + ttl + EXPIRY_GRACE
        self._hub.look_after(self._session)

    async def sub_refresh(self, command: Command) -> Mapping[str, Any]:
        """Go on in a channel with a new token."""
        channel = _channel(command)
        subscription = self._session.subscriptions.get(channel)
        if subscription is None or not command.params["token"]:
            raise CommandError(ErrorCode.BAD_REQUEST)
        found = check_token(command.params["token"], self._push.settings.token_secret, self._session, channel)
        ttl = seconds_to_live(found.expires_at)
        self._expire_subscription(channel, subscription, ttl)
        return sparse(expires=ttl is not None, ttl=ttl)

    async def unsubscribe_command(self, command: Command) -> Mapping[str, Any]:
        """Leave a channel; one that it is not in is no error."""
        self._leave(_channel(command))
        return {}

    def _leave(self, channel: str) -> None:
        self._expiring.pop(channel, None)
        self._hub.leave(self._session, channel)

    # -- channels ---------------------------------------------------------------------------------------------------

    async def publish(self, command: Command) -> Mapping[str, Any]:
        """Publish to a channel, as ``authorize`` allows."""
        channel, data = _channel(command), command.params["data"]
        await self._authorize(channel, "publish")
        if data is None:
            raise CommandError(ErrorCode.BAD_REQUEST)
        if self._hub.fanout.full:
            await self._hub.fanout.room()
        publication = Publication(channel, data, info=self._session.describe(channel))
        await self._hub.broker.publish(publication, self._hub.namespaces.stream(channel))
        return {}

    async def history(self, command: Command) -> Mapping[str, Any]:
        """Read a channel's history, as ``authorize`` allows."""
        channel, params = _channel(command), command.params
        await self._authorize(channel, "history")
        if self._hub.namespaces.stream(channel) is None:
            raise CommandError(ErrorCode.NOT_AVAILABLE)
        since = params["since"] and StreamPosition(max(0, params["since"]["offset"]), params["since"]["epoch"])
        if params["reverse"] and since and since.offset == 0:
            raise CommandError(ErrorCode.BAD_REQUEST)
        try:
            found = await self._hub.broker.history(channel, params["limit"], since, params["reverse"])
        except UnrecoverablePosition:
            raise CommandError(ErrorCode.UNRECOVERABLE_POSITION) from None
        position = {"offset": found.position.offset, "epoch": found.position.epoch}
        return {"publications": found.publications, **position}

    async def presence(self, command: Command) -> Mapping[str, Any]:
        """Say who is in a channel, as ``authorize`` allows."""
        channel = _channel(command)
        await self._authorize(channel, "presence")
        if not self._hub.namespaces.options(channel).presence:
            raise CommandError(ErrorCode.NOT_AVAILABLE)
        return {"presence": await self._push.presence(channel)}

    async def presence_stats(self, command: Command) -> Mapping[str, Any]:
        """Say how many are in a channel, as ``authorize`` allows."""
        stats = presence_stats((await self.presence(command))["presence"])
        return {"num_clients": stats.num_clients, "num_users": stats.num_users}

    # -- messages for the application -------------------------------------------------------------------------------

    async def rpc(self, command: Command) -> Mapping[str, Any]:
        """Call ``on_rpc``."""
        hook = self._hub.hooks.on_rpc
        if hook is None:
            raise CommandError(ErrorCode.NOT_AVAILABLE)
        answer = await call_hook(hook, self._session, command.params["method"], _decoded(command.params["data"]))
        return {} if answer is None else {"data": self._hub.encode(answer)}

    async def send(self, command: Command) -> None:
        """Call ``on_message``; there is no answer."""
        hook = self._hub.hooks.on_message
        if hook is None:
            raise Ended(Disconnect.NOT_AVAILABLE)
        await call_hook(hook, self._session, _decoded(command.params["data"]))

    # -- what the server does to it ---------------------------------------------------------------------------------

    def gap(self, channel: str, subscription: Subscription) -> None:
        """A subscription cannot be continued: the client is told, and starts again from the position that it has."""
        if subscription.server_side:
            self._hub.close(self._session, Disconnect.INSUFFICIENT_STATE)
        elif subscription.active:
            self._drop(channel, _INSUFFICIENT_STATE)

    def _drop(self, channel: str, reason: Mapping[str, Any]) -> None:
        self._leave(channel)
        self._hub.send_wire(self._session, self._codec.push(channel, "unsubscribe", reason))

    def subscribe_by_server(self, channel: str) -> None:
        """The application subscribes it, in the order of its own commands."""
        self._hub.call(self._session, self._subscribe_by_server, channel)

    async def _subscribe_by_server(self, session: Session, channel: str) -> None:
        if not self._connected or channel in session.subscriptions or session.state is not State.OPEN:
            return
        subscription = new_subscription(self._hub, server_side=True)
        subscription.join_leave = self._hub.namespaces.options(channel).join_leave
        await self._hub.join(session, channel, subscription)
        try:
            result = await begin(self._hub, session, channel, None)
        except BrokerError:
            self._hub.close(session, Disconnect.INSUFFICIENT_STATE)
            return
        self._hub.send_wire(session, self._codec.push(channel, "subscribe", result))
        go_live(self._hub, session, channel)
        self._hub.announce(session, channel, joined=True)

    def unsubscribe_by_server(self, channel: str) -> None:
        """The application takes it out of a channel."""
        if channel in self._session.subscriptions:
            self._drop(channel, _UNSUBSCRIBED)

    def next_deadline(self) -> float | None:
        """Return when the first of its subscriptions expires, or None."""
        return min(self._expiring.values(), default=None)

    def check(self, now: float) -> None:
        """End the subscriptions whose time is over."""
        for channel in [channel for channel, at in self._expiring.items() if at <= now]:
            self._drop(channel, _EXPIRED)


def _channel(command: Command) -> str:
    channel: str = command.params["channel"]
    if not channel:
        raise Violation("the channel is missing")
    try:
        return check_channel(channel)
    except ValueError:
        raise CommandError(ErrorCode.BAD_REQUEST) from None


def _decoded(data: Payload | None) -> Any:
    return None if data is None else data.decode()


_HANDLERS: dict[str, Handler] = {
    "connect": SdkClient.connect,
    "refresh": SdkClient.refresh,
    "subscribe": SdkClient.subscribe,
    "sub_refresh": SdkClient.sub_refresh,
    "unsubscribe": SdkClient.unsubscribe_command,
    "publish": SdkClient.publish,
    "history": SdkClient.history,
    "presence": SdkClient.presence,
    "presence_stats": SdkClient.presence_stats,
    "rpc": SdkClient.rpc,
    "send": SdkClient.send,
}
