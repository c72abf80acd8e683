"""The inside of a ``Push``: its settings, its hooks, and the hub that runs with them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection

from .brokers.credentials import BrokerCredentials
from .brokers.factory import BrokerParts, make_broker
from .brokers.instrumented import InstrumentedBroker
from .channels import Namespaces
from .connection import Connection
from .credentials import Credentials
from .disconnect import Disconnect
from .encoding import Encoder
from .hub.hub import Hub
from .inbound.hooks import Hooks, ends_at_once
from .message_types import Messages
from .messages import (
    ClientInfo,
    History,
    Payload,
    PresenceStats,
    Publication,
    PublishResult,
    StreamPosition,
)
from .metrics.counters import Counters
from .names import (
    check_channel,
    check_own_channel,
    check_position,
    check_tags,
    check_text,
    check_user,
    user_channel,
)
from .runner.control import Verb, encode_command, sum_of
from .runner.drain import drain
from .runner.hub_runner import HubRunner
from .session import Session
from .settings import Settings
from .tracing.factory import make_spans
from .verbs.confirming import Confirming
from .verbs.inbox import InboxVerbs
from .verbs.seconds import check_over
from .verbs.transactional import Transactional

Authenticate = Callable[
    [HTTPConnection], Awaitable[str | Credentials | None] | str | Credentials | None
]
Authorize = Callable[[Session, str, str], Awaitable[bool] | bool]


class Core:
    """What a ``Push`` is made of, and what its verbs do.

    Applications see ``Push``, which documents the verbs. Transports and endpoints get this object.
    ``send``, ``send_to_channels`` and ``command`` expect arguments that have been checked; the
    other verbs check theirs.
    """

    def __init__(
        self,
        settings: Settings,
        hooks: Hooks,
        namespaces: Namespaces,
        encoder: Encoder,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        broker_credentials: BrokerCredentials | None = None,
        messages: Messages | None = None,
    ) -> None:
        self.settings = settings
        self._broker_credentials = broker_credentials
        self.authenticate = authenticate
        self.authorize = authorize
        self.authenticates_at_once = authenticate is None or ends_at_once(authenticate)
        self.authorizes_at_once = authorize is None or ends_at_once(authorize)
        self.messages = messages
        self.runner = HubRunner(self._make_hub)
        self._hooks = hooks
        self._namespaces = namespaces
        self._encoder = encoder
        self._spans = make_spans(settings)
        self.transactional = Transactional(settings, namespaces, encoder, self._spans)
        self.confirming = Confirming(self.runner, namespaces)
        self.inbox = InboxVerbs(
            settings,
            self.runner,
            encoder,
            self.transactional,
            has_hook=hooks.on_undelivered is not None,
        )
        self.make_broker(Counters())  # raises SettingsError now, and not at the first start

    def make_broker(self, counters: Counters) -> BrokerParts:
        """Return a new broker, as the settings say, and the stores that go with it."""
        parts = make_broker(self.settings, self._namespaces.streams, self._broker_credentials)
        if self.settings.metrics or self.settings.console:
            return parts._replace(broker=InstrumentedBroker(parts.broker, counters))
        return parts

    def _make_hub(self) -> Hub:
        # All is new at each start: what is in memory ends when the application ends, even if the
        # event loop ended without a stop, and a connection belongs to one event loop.
        counters = Counters()
        parts = self.make_broker(counters)
        return Hub(
            self.settings,
            self._hooks,
            *parts,
            self._namespaces,
            counters,
            self._encoder,
            self._spans,
        )

    @property
    def hub(self) -> Hub:
        """The hub that runs on the event loop of this thread; else NotRunningError."""
        return self.runner.hub

    def drain_at_sigterm(self) -> None:
        """Drain at a SIGTERM, over ``drain_timeout``, before the server gets it.

        Nothing is done without that setting, unless event streams are on: uvicorn and granian wait
        for open responses to end, and an event stream would let them wait for ever.
        """
        if self.settings.drain_timeout or self.settings.sse:
            self.runner.drain_at_sigterm(self.settings.drain_timeout)

    def encode(self, data: Any) -> Payload:
        """Encode data as it is sent; unlike the hub's, this works where nothing runs."""
        return self._encoder.encode(data)

    # -- sending --------------------------------------------------------------------------------

    def send(
        self,
        channel: str,
        data: Any,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Awaitable[PublishResult]:
        """Publish to a channel, a user's and everybody's too. The arguments have been checked."""
        # No coroutine function: a coroutine for each message would be a tenth of what this costs.
        hub = self.runner.hub_here()
        if hub is None:
            return self.runner.call(self._send_there, channel, data, tags, idempotency_key)
        return hub.publish(Publication(channel, hub.encode(data), 0, "", tags), idempotency_key)

    async def _send_there(
        self, channel: str, data: Any, tags: Mapping[str, str] | None, idempotency_key: str | None
    ) -> PublishResult:
        self.hub  # noqa: B018  # raises NotRunningError where there is none
        return await self.send(channel, data, tags, idempotency_key)

    async def publish(
        self,
        channel: str,
        data: Any,
        tags: Mapping[str, str] | None,
        key: str | None,
        confirm: float | None,
        using: Any,
    ) -> PublishResult:
        """See ``Push.publish``. The channel has been checked."""
        if using is not None and confirm is None:
            return await self.transactional.publish(using, channel, data, tags, key)
        if tags is not None:
            tags = check_tags(tags)
        if key is not None:
            key = check_text("idempotency_key", key)
        if confirm is None:
            return await self.send(channel, data, tags, key)
        return await self.confirming.publish(confirm, channel, data, tags, key, using=using)

    async def send_to_channels(self, channels: list[str], data: Any) -> list[PublishResult]:
        """Publish the same data to several channels, which have been checked.

        Return the results in their order.
        """
        return await self.runner.call(self._send_to_channels, channels, data)

    async def _send_to_channels(self, channels: list[str], data: Any) -> list[PublishResult]:
        hub = self.hub
        payload = hub.encode(data)
        return [await hub.publish(Publication(channel, payload)) for channel in channels]

    async def send_to_session(self, session_id: str, data: Any) -> PublishResult:
        """See ``Push.send_to_session``."""
        return await self.runner.call(
            self._send_to_session, check_text("session_id", session_id), data
        )

    async def _send_to_session(self, session_id: str, data: Any) -> PublishResult:
        session = self.hub.registry.get(session_id)
        return PublishResult(None, 1 if session is not None and await session.send(data) else 0)

    async def history(
        self,
        channel: str,
        limit: int = 0,
        since: StreamPosition | None = None,
        reverse: bool = False,
    ) -> History:
        """See ``Push.history``."""
        name = check_channel(channel)
        known: object = limit  # callers are not all type-checked
        if isinstance(known, bool) or not isinstance(known, int) or known < 0:
            raise ValueError(f"limit: must be a whole number of at least 0, not {limit!r:.80}")
        position = None if since is None else StreamPosition(*check_position(since))
        return await self.runner.call(self._history, name, limit or -1, position, reverse)

    async def _history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        return await self.hub.broker.history(channel, limit, since, reverse)

    # -- sessions -------------------------------------------------------------------------------

    def sessions(self, user: str | None = None, channel: str | None = None) -> list[Connection]:
        """See ``Push.sessions``."""
        if user not in (None, ""):  # "" finds none: anonymous sessions are not one user's
            user = check_user(user)
        if channel is not None:
            channel = check_channel(channel)
        registry = self.runner.registry
        return [] if registry is None else registry.find(user, channel)

    async def is_online(self, user: str) -> bool:
        """See ``Push.is_online``."""
        return await self.runner.call(self._is_online, check_user(user))

    async def _is_online(self, user: str) -> bool:
        return bool(self.hub.registry.sessions_of(user)) or await self.hub.presence.is_online(
            user_channel(user)
        )

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """See ``Push.presence``."""
        return await self.runner.call(self._presence, check_channel(channel))

    async def _presence(self, channel: str) -> dict[str, ClientInfo]:
        if not self._namespaces.options(channel).presence:
            message = (
                f"channel: the namespace of {channel!r:.80} has no presence: see ChannelOptions"
            )
            raise ValueError(message)
        return await self.hub.presence.members(channel)

    async def disconnect(
        self,
        user: str | None = None,
        session: str | None = None,
        disconnect: Disconnect = Disconnect.FORCE,
    ) -> None:
        """See ``Push.disconnect``."""
        if user is None and session is None:
            raise ValueError("user, session: one of them must be named")
        if user is not None:
            user = check_user(user)
        if session is not None:
            session = check_text("session", session)
        disconnect = disconnect.checked()
        await self.command(
            "disconnect", user=user, session=session, code=disconnect.code, reason=disconnect.reason
        )

    async def command(self, verb: Verb, **arguments: Any) -> list[bytes]:
        """Ask all processes to apply a command, which has been checked, to their sessions.

        Return their replies.
        """
        return await self.runner.call(self._command, encode_command(verb, **arguments))

    async def _command(self, message: bytes) -> list[bytes]:
        return await self.hub.broker.command(message)

    async def change_channels(self, verb: Verb, user: str, channel: str) -> int:
        """See ``Push.subscribe`` and ``Push.unsubscribe``."""
        return sum_of(
            await self.command(verb, user=check_user(user), channel=check_own_channel(channel))
        )

    async def drain(self, over: float) -> int:
        """See ``Push.drain``."""
        return await self.runner.call(self._drain, check_over(over))

    async def _drain(self, over: float) -> int:
        return await drain(self.hub, over)


def presence_stats(presence: Mapping[str, ClientInfo]) -> PresenceStats:
    """Return how many sessions and how many users there are in a channel's presence."""
    return PresenceStats(len(presence), len({info.user for info in presence.values()}))
