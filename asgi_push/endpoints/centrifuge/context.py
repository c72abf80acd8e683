"""What the handlers of commands share: the session of the client, and replies to it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from starlette.types import Scope

from ... import clock
from ...connection import Connection
from ...core import Core
from ...disconnect import Disconnect
from ...hub.hub import Hub
from ...inbound.hooks import Hook, call_hook, name_of
from ...messages import Payload
from ...names import USER_PREFIX, check_channel
from ...protocols.blocks import COMPRESS_FROM
from ...protocols.centrifuge import Command, CommandError, ErrorCode, SdkCodec, Violation
from ...protocols.centrifuge.codec import shared_pieces
from ...protocols.wire import WireMessage
from ...subscription import TrackedSubscription
from ...transports.authorization import ask_authorize
from ..results import encodable

# One for all clients that send none: an empty dict takes 64 bytes.
NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})

# Seconds after the expiry of a token in which a client may send a new one.
EXPIRY_GRACE = 25.0


class Ended(Exception):
    """The connection is to be closed with ``disconnect``; ``advice`` is for who runs the server."""

    def __init__(self, disconnect: Disconnect, advice: str = "") -> None:
        super().__init__(disconnect.reason)
        self.disconnect = disconnect
        self.advice = advice


class Context:
    """The session of one SDK client, the request that it came with, and the way to reply.

    Attributes:
        codec: that of this client's encoding.
        scope: that of the request, as the server has it.
        headers: the headers of the connect command that the client may send.
        connect_received: whether the command connect has come.
        connect_failed: whether it was answered by an error.
        connected: whether it was answered by a result.
    """

    __slots__ = (
        "codec",
        "connect_failed",
        "connect_received",
        "connected",
        "core",
        "headers",
        "hub",
        "scope",
        "session",
    )

    def __init__(
        self, core: Core, hub: Hub, session: Connection, codec: SdkCodec, scope: Scope
    ) -> None:
        self.core = core
        self.hub = hub
        self.session = session
        self.codec = codec
        self.scope = scope
        self.headers = NO_HEADERS
        self.connect_received = False
        self.connect_failed = False
        self.connected = False

    def send(self, message: WireMessage) -> None:
        """Send a message, after what is queued."""
        self.hub.send_wire(self.session, message)

    def reply(self, command: Command[Any], result: Mapping[str, Any]) -> None:
        """Reply to a command; what cannot be encoded of the result is left out.

        Raises:
            CommandError: nothing of it can be encoded.
        """
        try:
            message = self.codec.reply(command.id, command.method, result)
        except Exception:  # noqa: BLE001  # whatever it is, the rest can be told
            message = self._encodable_reply(command, result)
        if self.session.io.deflate is not None and message.size >= COMPRESS_FROM:
            message.shared = shared_pieces(message.data, result)
        self.hub.send_wire(self.session, message)

    def _encodable_reply(self, command: Command[Any], result: Mapping[str, Any]) -> WireMessage:
        try:
            rest = encodable(self.codec, result, self.hub.fanout.undeliverable)
            return self.codec.reply(command.id, command.method, rest)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told
            self.hub.failures.report(
                "delivery", error, f"the answer to {command.method}", f" for {self.session.id}"
            )
            raise CommandError(ErrorCode.INTERNAL) from None

    async def authorize(self, channel: str, action: str) -> None:
        """Raise CommandError if the client may not do this."""
        if action != "publish" and self.hub.membership.is_own_channel(self.session, channel):
            return
        if action == "subscribe" and channel.startswith(USER_PREFIX):
            raise CommandError(ErrorCode.PERMISSION_DENIED)  # another user's
        if not await ask_authorize(self.core, self.hub, self.session, channel, action):
            raise CommandError(ErrorCode.PERMISSION_DENIED)

    async def notify(self, hook: Hook, *args: Any) -> None:
        """Call a hook that returns nothing.

        Raises:
            Ended: it failed, which ends the session of a plain client, too.
        """
        try:
            await call_hook(self.hub.threads.others, hook, self.session, *args)
        except Exception as error:  # noqa: BLE001  # code of the application
            self.hub.failures.report(
                "hook", error, name_of(hook), f" for session {self.session.id}"
            )
            raise Ended(Disconnect.SERVER_ERROR) from None

    def expire_connection(self, ttl: int | None) -> None:
        """Close the connection after ``ttl`` seconds and a grace, unless it is refreshed."""
        self.hub.expire(self.session, None if ttl is None else ttl + EXPIRY_GRACE)

    def expire_subscription(self, channel: str, ttl: int | None) -> None:
        """End a subscription after ``ttl`` seconds and a grace, unless it is refreshed."""
        subscription = self.session.subscriptions.get(channel)
        if not isinstance(subscription, TrackedSubscription):
            return
        if ttl is None:
            subscription.expires_at = None
        else:
            subscription.expires_at = clock.monotonic() + ttl + EXPIRY_GRACE
            self.hub.look_after(self.session)

    def leave(self, channel: str) -> None:
        """Unsubscribe the session from a channel; the client is not told."""
        self.hub.membership.leave(self.session, channel)


def checked_channel(channel: str) -> str:
    """Return the channel of a request.

    Raises:
        Violation: the channel is missing.
        CommandError: the name is invalid.
    """
    if not channel:
        raise Violation("the channel is missing")
    try:
        return check_channel(channel)
    except ValueError:
        raise CommandError(ErrorCode.BAD_REQUEST) from None


def decoded(data: Payload | None) -> Any:
    """Return the data of a client as hooks get it."""
    return None if data is None else data.decode()
