"""One SDK client: it executes commands in order, and tells the client what the server does."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from ... import clock
from ...connection import Connection
from ...disconnect import Disconnect
from ...errors import BrokerError
from ...messages import Payload, Publication, StreamPosition
from ...protocols.centrifuge import Command, CommandError, ErrorCode, Violation
from ...protocols.centrifuge.commands import sparse
from ...recovery.subscriptions import go_live, new_subscription
from ...subscription import TrackedSubscription
from ...transports.limits import CHANNEL_BYTES, close_too_large, frame_bytes, too_large
from ...transports.refusal import OTHER_CREDENTIALS, Refusal
from .channels import history, presence, presence_stats, publish, rpc, send
from .connect import connect, refresh
from .context import Context, Ended
from .subscribe import push_subscription, start_subscription, sub_refresh, subscribe, unsubscribe

_UNSUBSCRIBED = {"code": 2000, "reason": "server unsubscribe"}
_INSUFFICIENT_STATE = {"code": 2500, "reason": "insufficient state"}
_EXPIRED = {"code": 2501, "reason": "subscription expired"}

# The handler of each command. It returns the result to reply with, or None if it replied itself or
# if the command has no reply.
_HANDLERS: dict[str, Callable[[Context, Command[Any]], Awaitable[Mapping[str, Any] | None]]] = {
    "connect": connect,
    "refresh": refresh,
    "subscribe": subscribe,
    "sub_refresh": sub_refresh,
    "unsubscribe": unsubscribe,
    "publish": publish,
    "history": history,
    "presence": presence,
    "presence_stats": presence_stats,
    "rpc": rpc,
    "send": send,
}


class SdkClient(Context):
    """Executes the commands of one client, one after the other, and pushes what the server does."""

    __slots__ = ()

    opened_by_command = True
    confirms = True
    answers = True

    # -- what the client sends ---------------------------------------------------------------------

    def take(self, frame: str | bytes) -> Iterator[int | Awaitable[None]]:
        """Handle a frame, and yield the sizes of its commands, if it is not too large.

        Before the size of a command comes what is to be awaited for it, if anything is. Pongs are
        handled at once, other commands in order.
        """
        session = self.session
        # Nearly all are far below any limit: a character has at most four bytes.
        if 4 * len(frame) > self.hub.settings.max_message_bytes and self._frame_too_large(frame):
            return
        try:
            for command in self.codec.decode(frame):
                if self.connect_failed or session.disconnect is not None:
                    return
                if (executed := self._dispatch(command)) is not None:
                    yield executed
                yield command.size
        except Violation as violation:
            self._close_as_bad_request(violation)

    def _dispatch(self, command: Command[Any]) -> Awaitable[None] | None:
        """Handle a command, or have it handled in its turn; return what to await for it, if any."""
        if not command.method:
            self._pong()
            return None
        if (command.method == "connect") is self.connect_received:
            raise Violation("the first command must be connect, and no other may be")
        self.connect_received = True
        hub = self.hub
        if command.size > hub.settings.max_message_bytes and self._too_large(command):
            return None
        session = self.session
        hub.on_activity(session)
        if session.inbox is None and session.queue is None and self._waits_for_nobody(command):
            return hub.execute_here(session, self._execute, command)
        hub.execute(session, self._execute, command, size=command.size)
        return None

    def _waits_for_nobody(self, command: Command[Any]) -> bool:
        """Whether a command is carried out without waiting for the application."""
        core = self.core
        if command.method == "subscribe":
            return core.authorizes_at_once or bool(command.request.token)
        return command.method == "connect" and core.authenticates_at_once

    def _too_large(self, command: Command[Any]) -> bool:
        """Return whether one of over ``max_message_bytes`` is too large; close the session if so.

        Connect may be as large as a frame.
        """
        hub = self.hub
        limit = hub.settings.max_message_bytes
        if command.method == "connect" or (
            command.method == "subscribe" and command.size <= CHANNEL_BYTES
        ):
            return False
        close_too_large(hub, self.session, command.size, limit, "max_message_bytes")
        return True

    def _frame_too_large(self, frame: str | bytes) -> bool:
        """Return whether a frame is too large, and close the session if so."""
        hub = self.hub
        limit = frame_bytes(hub.settings)
        if not too_large(frame, limit):
            return False
        limits = "max_message_bytes and max_channels"
        close_too_large(hub, self.session, len(frame), limit, limits)
        return True

    def _pong(self) -> None:
        session = self.session
        session.last_seen = now = clock.monotonic()
        if not session.heartbeat.on_pong(now):
            raise Violation("a pong that was not asked for")
        if session.heartbeat.round_trip is not None:
            self.hub.counters.heartbeat_round_trip.observe(session.heartbeat.round_trip)
        self.hub.look_after(session)

    def _close_as_bad_request(self, violation: Violation) -> None:
        reason = Disconnect(Disconnect.BAD_REQUEST.code, f"bad request: {violation}")
        self.hub.close(self.session, reason)

    async def _execute(self, session: Connection, command: Command[Any]) -> None:
        if session.queue is not None:
            await self.hub.wait_capacity(session)
        if self.connect_failed or session.disconnect is not None:
            return
        try:
            result = await _HANDLERS[command.method](self, command)
            if result is not None:
                self.reply(command, result)
        except CommandError as failure:
            self._reply_error(command, failure.error)
        except Violation as violation:
            self._close_as_bad_request(violation)
        except Ended as ended:
            self._close(ended)
        except BrokerError:
            self._reply_error(command, ErrorCode.INTERNAL)
        except Exception as error:  # noqa: BLE001  # code of the application
            self.hub.failures.report("hook", error, command.method, f" for session {session.id}")
            self._reply_error(command, ErrorCode.INTERNAL)

    def _close(self, ended: Ended) -> None:
        told = ended.disconnect
        if not self.connected:
            advice = ended.advice or OTHER_CREDENTIALS
            Refusal(told.code, told.reason, advice).log(self.scope)
        self.hub.close(self.session, told)

    def _reply_error(self, command: Command[Any], error: tuple[int, str, bool]) -> None:
        self.connect_failed = command.method == "connect"
        if error == ErrorCode.TOKEN_EXPIRED and command.method in ("refresh", "sub_refresh"):
            error = ErrorCode.REFRESH_EXPIRED
        if command.id:
            self.send(self.codec.error(command.id, error))

    # -- what the server does ----------------------------------------------------------------------

    def send_for_answer(self, message: bytes) -> bool:
        """Send it as a ``message``, to a client that has its reply to connect; return True."""
        if self.connected:
            self._send_message(message)
        else:
            self.hub.execute(self.session, self._send_later, message)
        return True

    async def _send_later(self, session: Connection, message: bytes) -> None:
        if self.connected:
            self._send_message(message)

    def _send_message(self, message: bytes) -> None:
        wire = self.codec.encode(Publication("", Payload("json", message)))
        if wire is not None:
            self.send(wire)

    def gap(self, channel: str, subscription: TrackedSubscription) -> None:
        """End a subscription that cannot go on; the client recovers from its own position."""
        if subscription.server_side:
            self.hub.close(self.session, Disconnect.INSUFFICIENT_STATE)
        elif subscription.active:
            self._end_subscription(channel, _INSUFFICIENT_STATE)

    def _end_subscription(self, channel: str, reason: Mapping[str, Any]) -> None:
        self.leave(channel)
        if self.connected:  # else the reply to connect leaves it out
            self.send(self.codec.push(channel, "unsubscribe", reason))

    async def subscribe_by_server(
        self, channel: str, data: Payload | None, since: StreamPosition | None
    ) -> None:
        """Subscribe the session for the application.

        When this returns, the session gets all that is published from then on. A client that has
        no reply to its connect yet is subscribed after that, and not waited for.
        """
        if not self.connected:
            self.hub.execute(self.session, self._subscribe_later, channel, data, since)
        elif (known := self.session.subscriptions.get(channel)) is None:
            subscription = new_subscription(self.hub, channel, server_side=True)
            subscription.stays = True
            await self._subscribe(channel, subscription, data, since)
        elif isinstance(known, TrackedSubscription):
            known.stays = True

    async def _subscribe_later(
        self, session: Connection, channel: str, data: Payload | None, since: StreamPosition | None
    ) -> None:
        if self.connected and channel not in session.subscriptions and session.disconnect is None:
            await self._subscribe(
                channel, new_subscription(self.hub, channel, server_side=True), data, since
            )

    async def _subscribe(
        self,
        channel: str,
        subscription: TrackedSubscription,
        data: Payload | None,
        since: StreamPosition | None,
    ) -> None:
        try:
            result = await start_subscription(self, channel, subscription, since, encoded=False)
        except BrokerError:
            self.hub.close(self.session, Disconnect.INSUFFICIENT_STATE)
            return
        if subscription.active:  # the application may have unsubscribed it meanwhile
            push_subscription(self, channel, result | sparse(data=data))
            go_live(self.hub, self.session, channel, subscription)

    def unsubscribe_by_server(self, channel: str) -> None:
        """Unsubscribe the session for the application.

        This is done now, and again after all waiting commands that might subscribe it.
        """
        self._unsubscribe(channel)
        if self.session.inbox is not None:
            self.hub.execute(self.session, self._unsubscribe_later, channel)

    async def _unsubscribe_later(self, session: Connection, channel: str) -> None:
        subscription = session.subscriptions.get(channel)
        if isinstance(subscription, TrackedSubscription) and not subscription.stays:
            self._unsubscribe(channel)

    def _unsubscribe(self, channel: str) -> None:
        if channel in self.session.subscriptions:
            self._end_subscription(channel, _UNSUBSCRIBED)

    def next_deadline(self) -> float | None:
        """Return when the first subscription expires, or None."""
        first: float | None = None
        for subscription in self.session.subscriptions.values():
            at = subscription.expires_at
            if at is not None and (first is None or at < first):
                first = at
        return first

    def check(self, now: float) -> None:
        """End the subscriptions that have expired."""
        expired = [
            channel
            for channel, subscription in self.session.subscriptions.items()
            if subscription.expires_at is not None and subscription.expires_at <= now
        ]
        for channel in expired:
            self._end_subscription(channel, _EXPIRED)
