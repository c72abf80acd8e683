"""What the carrying out of a command needs: whose it is, and what it may touch."""

from collections.abc import Mapping
from typing import Any, cast

from starlette.requests import HTTPConnection

from ... import clock
from ...connection import Connection
from ...core import Core
from ...disconnect import Disconnect
from ...inbound.hooks import Hook, call_hook, name_of
from ...messages import Payload
from ...names import USER_PREFIX, check_channel
from ...protocols.centrifuge import Command, CommandError, ErrorCode, SdkCodec, Violation
from ...protocols.wire import WireMessage
from ...subscription import TrackedSubscription
from ..results import encodable

# How long after the end of a token a client may come with a new one, in seconds.
EXPIRY_GRACE = 25.0


class Ended(Exception):
    """The connection is to be closed with ``disconnect``; ``advice`` is for who runs the server."""

    def __init__(self, disconnect: Disconnect, advice: str = "") -> None:
        super().__init__(disconnect.reason)
        self.disconnect = disconnect
        self.advice = advice


class Context:
    """One SDK client's session, what it came with, and the times at which its subscriptions end."""

    __slots__ = ("connected", "connection", "core", "headers", "hub", "session")

    def __init__(self, core: Core, session: Connection, connection: HTTPConnection) -> None:
        self.core = core
        self.hub = core.hub
        self.session = session
        self.connection = connection
        self.headers: Mapping[bytes, bytes] = {}  # those that its connect command says, and may say
        self.connected = False

    @property
    def codec(self) -> SdkCodec:
        """The encoding that this client speaks."""
        return cast(SdkCodec, self.session.codec)

    def send(self, message: WireMessage) -> None:
        """Send after what is queued."""
        self.hub.send_wire(self.session, message)

    def reply(self, command: Command[Any], result: Mapping[str, Any]) -> None:
        """Answer a command; what cannot be written of the answer is left out.

        Raises:
            CommandError: nothing can be written of it.
        """
        try:
            message = self.codec.reply(command.id, command.method, result)
        except Exception:  # noqa: BLE001  # whatever it is, the rest can be told
            message = self._encodable_reply(command, result)
        self.send(message)

    def _encodable_reply(self, command: Command[Any], result: Mapping[str, Any]) -> WireMessage:
        try:
            rest = encodable(self.codec, result, self.hub.fanout.undeliverable)
            return self.codec.reply(command.id, command.method, rest)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is told
            self.hub.failures.report("delivery", error, f"the answer to {command.method}", f" for {self.session.id}")
            raise CommandError(ErrorCode.INTERNAL) from None

    async def authorize(self, channel: str, action: str) -> None:
        """Return if the client may do this; raise CommandError if not."""
        if action != "publish" and channel in self.hub.own_channels(self.session):
            return
        if action == "subscribe" and channel.startswith(USER_PREFIX):
            raise CommandError(ErrorCode.PERMISSION_DENIED)  # another user's
        authorize = self.core.authorize
        threads = self.hub.threads.authorize
        if authorize is None or not await call_hook(threads, authorize, self.session, channel, action):
            raise CommandError(ErrorCode.PERMISSION_DENIED)

    async def tell(self, hook: Hook, *args: Any) -> None:
        """Call a hook that answers nothing; raise Ended if it fails, as that ends a plain client's session, too."""
        try:
            await call_hook(self.hub.threads.others, hook, self.session, *args)
        except Exception as error:  # noqa: BLE001  # code of the application
            self.hub.failures.report("hook", error, name_of(hook), f" for session {self.session.id}")
            raise Ended(Disconnect.SERVER_ERROR) from None

    def expire_connection(self, ttl: int | None) -> None:
        """Have the connection end some time after ``ttl`` seconds, unless the client refreshes it."""
        self.hub.expire(self.session, None if ttl is None else ttl + EXPIRY_GRACE)

    def expire_subscription(self, channel: str, ttl: int | None) -> None:
        """Have a subscription end some time after ``ttl`` seconds, unless the client refreshes it."""
        subscription = self.session.subscriptions.get(channel)
        if isinstance(subscription, TrackedSubscription):
            subscription.expires_at = None if ttl is None else clock.monotonic() + ttl + EXPIRY_GRACE
            self.hub.look_after(self.session)

    def leave(self, channel: str) -> None:
        """Take the session out of a channel, without a word to the client."""
        self.hub.leave(self.session, channel)


def checked_channel(channel: str) -> str:
    """Return the channel that a request names.

    Raises:
        Violation: it names none.
        CommandError: no channel can have that name.
    """
    if not channel:
        raise Violation("the channel is missing")
    try:
        return check_channel(channel)
    except ValueError:
        raise CommandError(ErrorCode.BAD_REQUEST) from None


def decoded(data: Payload | None) -> Any:
    """Return what a client sent, as hooks get it."""
    return None if data is None else data.decode()
