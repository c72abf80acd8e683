"""The public object: everything that an application does with push."""

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .blocking import Blocking
from .brokers.credentials import BrokerCredentials
from .channels import Namespaces
from .core import Authenticate, Authorize, Core, presence_stats
from .disconnect import Disconnect
from .encoding import Encoder
from .inbound.hooks import Hook, Hooks
from .jsonable import Default
from .message_types import Messages
from .messages import (
    ChannelOptions,
    ClientInfo,
    History,
    PresenceStats,
    Publication,
    PublishResult,
    StreamPosition,
)
from .names import EVERYBODY, check_channel, check_several, check_user_channel
from .options import check_hooks, check_messages, settings_in_force
from .runner.loop_thread import LoopThread
from .runner.startable import Startable
from .session import Session
from .settings import Settings
from .settings_fields import SettingsFields


class Push(Startable):
    """Sends to browsers: to one user, several users, everybody, or a channel.

    ``PushMiddleware`` makes a ``Push``, starts and stops it, and puts it where the application
    finds it. Make your own to name the hooks or to publish from a program that is no web server:
    with ``async with Push(...) as push``, or without an event loop with
    ``with Push(...) as push`` and ``push.blocking``. You may make it anywhere, also at import.
    It serves one event loop at a time.

    Args:
        settings: where the settings come from; by default the environment
            (``ASGI_PUSH_<NAME>``), else the defaults.
        authenticate: ``(connection) -> user id, Credentials or None``. None means anonymous;
            AuthenticationError refuses the connection. It may be sync or async, like all hooks; a
            sync hook runs in a worker thread.
        authorize: ``(session, channel, action) -> bool``: whether a client may do what it asks
            for. Without it the answer is no.
        on_connect: ``(session)``, called when a session can be sent to.
        on_disconnect: ``(session, disconnect)``, called once for every session that
            ``on_connect`` was called for.
        on_message: ``(session, data)``, called with what a client sent, except for heartbeats: a
            str or bytes from a plain client, decoded JSON from an SDK.
        on_rpc: ``(session, method, data)``, called when an SDK client calls. The client gets what
            it returns, or the error of an RpcError.
        on_undelivered: ``(user, publication)``, called when nobody has confirmed what was sent with
            ``undelivered_after`` in time: once over all processes. One that dies in the call, or
            fails in it, lets it be called again, at most five times in all. It may take 60 seconds.
        namespaces: the options of channels, by the part of their name before ``:``; "" for all
            others.
        messages: describes what is sent and received, for ``{http_path}/asyncapi.json``.
        default: ``(value) -> value`` for data that JSON has no type for, like the ``default`` of
            ``orjson.dumps``. It is asked first; where it raises TypeError, this package converts
            the value.
        broker_credentials: ``() -> password or (user, password)``, called at each connect to Redis
            or PostgreSQL. It may be sync or async, and take 10 seconds.
        settings_fields: single settings, by name. They win over ``settings`` and over the
            environment.

    Raises:
        SettingsError: a setting cannot be used, or a hook takes other arguments; the message
            names it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        authenticate: Authenticate | None = None,
        authorize: Authorize | None = None,
        on_connect: Hook | None = None,
        on_disconnect: Hook | None = None,
        on_message: Hook | None = None,
        on_rpc: Hook | None = None,
        on_undelivered: Hook | None = None,
        namespaces: Mapping[str, ChannelOptions] | None = None,
        messages: Messages | None = None,
        default: Default | None = None,
        broker_credentials: BrokerCredentials | None = None,
        **settings_fields: Unpack[SettingsFields],
    ) -> None:
        in_force = settings_in_force(settings, settings_fields)
        check_hooks(
            authenticate=authenticate,
            authorize=authorize,
            on_connect=on_connect,
            on_disconnect=on_disconnect,
            on_message=on_message,
            on_rpc=on_rpc,
            on_undelivered=on_undelivered,
            default=default,
        )
        self._core = Core(
            in_force,
            Hooks(on_connect, on_disconnect, on_message, on_rpc, on_undelivered),
            Namespaces(in_force, {} if namespaces is None else namespaces),
            Encoder(default, in_force.queue_bytes),
            authenticate=authenticate,
            authorize=authorize,
            broker_credentials=broker_credentials,
            messages=check_messages(messages),
        )
        thread = LoopThread(self._core.runner)
        super().__init__(self._core.runner, thread)
        self._blocking = Blocking(
            self._run_from_thread, thread, self._core.transactional, self._core.inbox
        )

    def _run_from_thread(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        return self._core.runner.run_from_thread(getattr(self, verb), *args, **kwargs)

    @property
    def settings(self) -> Settings:
        """The ``Settings`` in force."""
        return self._core.settings

    @property
    def blocking(self) -> Blocking:
        """The same methods without ``await``, for any thread except the event loop's."""
        return self._blocking

    # -- sending --------------------------------------------------------------------------------

    async def send_to_user(
        self,
        user: str,
        data: Any,
        *,
        inbox: bool = False,
        undelivered_after: float | None = None,
        confirm: float | None = None,
        idempotency_key: str | None = None,
        using: Any = None,
    ) -> PublishResult:
        """Send to all sessions of one user.

        Args:
            user: the user's id.
            data: a str or bytes, sent unchanged; else anything that JSON can hold, and models.
            confirm: seconds to wait for the user's sessions to confirm it; see ``publish``.
            inbox: keep it until a session of the user confirms it. Whoever connects as this user
                gets it first, again and again until then. A client without envelopes or an SDK
                cannot confirm.
            undelivered_after: seconds after which ``on_undelivered`` is called, in one of the
                processes that have it, if nobody has confirmed it; needs ``inbox``.
            idempotency_key: see ``publish``.
            using: a database connection in a transaction; see ``publish``.

        Returns:
            a ``PublishResult``.

        Raises:
            ValueError: an argument cannot be used: there is no inbox for it (the setting
                ``inbox_size`` or ``history_size`` is 0), the data are more than ``inbox_bytes``,
                or with ``memory://`` there is no ``on_undelivered``.
            BrokerError: the broker did not take it.
        """
        if inbox:
            return await self._core.inbox.publish(
                user, data, idempotency_key, undelivered_after, confirm, using
            )
        if undelivered_after is not None:
            raise ValueError("undelivered_after: needs inbox=True")
        channel = check_user_channel(user)
        if confirm is None and idempotency_key is None and using is None:
            return await self._core.send(channel, data)
        return await self._core.publish(channel, data, None, idempotency_key, confirm, using)

    async def send_to_users(
        self, users: Iterable[str], data: Any, *, confirm: float | None = None
    ) -> list[PublishResult]:
        """Send to several users; return the results in their order. See ``send_to_user``."""
        channels = [check_user_channel(user) for user in check_several("users", users)]
        if confirm is not None:
            return await self._core.confirming.publish_to_each(confirm, channels, data)
        return await self._core.send_to_channels(channels, data)

    async def send_to_all(self, data: Any, *, confirm: float | None = None) -> PublishResult:
        """Send to all sessions, anonymous ones too; to none if the setting ``everybody`` is off.

        For ``confirm`` see ``publish``.
        """
        if confirm is not None:
            return await self._core.confirming.publish(confirm, EVERYBODY, data)
        return await self._core.send(EVERYBODY, data)

    async def send_to_session(
        self, session_id: str, data: Any, *, confirm: float | None = None
    ) -> PublishResult:
        """Send to one session of this process; ``receivers`` is 0 if it has none with this id.

        With ``confirm``, seconds, it waits until the session confirms it. The client then gets an
        object with ``id`` and ``data``. A bare plain client and an event stream get what they
        always do, and are not waited for.
        """
        if confirm is not None:
            return await self._core.confirming.send_to_session(confirm, session_id, data)
        return await self._core.send_to_session(session_id, data)

    async def ask(
        self,
        data: Any,
        *,
        user: str | None = None,
        session: str | None = None,
        timeout: float = 5.0,  # noqa: ASYNC109  # an answer that comes later is known as late
    ) -> Any:
        """Ask all sessions of a user, or one session, in any process; return the first answer.

        The answer is decoded JSON. Later ones are dropped, and counted. ``data`` is as in
        ``publish``, ``timeout`` in seconds, at most an hour. A bare plain client and an event
        stream cannot be asked.

        Raises:
            NoAnswerError: nobody answers in time; at once if there is nobody to ask.
            ValueError: an argument cannot be used.
            BrokerError: the broker did not take it.
        """
        return (await self._core.confirming.ask(data, user, session, timeout)).decode()

    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        confirm: float | None = None,
        using: Any = None,
    ) -> PublishResult:
        """Publish to a channel: to the sessions that are in it, and into its history.

        It returns when the publication has its position in the channel, before the sessions get
        it. What you send to a session of this process after that arrives after it. It waits
        while publications come faster than the sessions that keep up can take them.

        Args:
            channel: text of 1 to 255 bytes. A channel need not be created first.
            data: a str or bytes, sent unchanged; else anything that JSON can hold, and models.
            tags: text by name, carried beside the data. An SDK client sees them, a plain client
                does not.
            idempotency_key: makes it safe to try again. If the channel got the same key in the
                last 300 seconds, nothing is published and the first result is returned.
            confirm: seconds to wait, at most an hour, until all sessions that were handed it, in
                any process, have confirmed it. A bare plain client cannot, and is not waited for.
                The channel must keep a history.
            using: a database connection in a transaction, with the broker ``postgres://``. It is
                published when the transaction commits, and never if it is rolled back. A
                connection of psycopg, asyncpg or Django, or a connection or session of SQLAlchemy.
                One that is not async blocks the event loop for one statement.

        Returns:
            a ``PublishResult``; with ``using`` an empty one, as the place is known at the commit.

        Raises:
            ValueError: an argument cannot be used, such as ``using`` with another broker.
            BrokerError: the broker did not take it; with ``confirm`` also if it took it, and then
                did not say who was handed it.
        """
        name = check_channel(channel)
        if tags is None and idempotency_key is None and confirm is None and using is None:
            return await self._core.send(name, data)
        return await self._core.publish(name, data, tags, idempotency_key, confirm, using)

    async def history(
        self,
        channel: str,
        limit: int = 0,
        since: StreamPosition | None = None,
        reverse: bool = False,
    ) -> History:
        """Read the publications that a channel keeps, and its position.

        Args:
            channel: its name.
            limit: how many publications at most; 0 = all that are kept.
            since: only those after this position; with ``reverse`` only those before it.
            reverse: the latest first.

        Returns:
            a ``History``.

        Raises:
            ValueError: an argument cannot be used.
            UnrecoverablePosition: ``since`` has another epoch than the stream.
            BrokerError: the broker did not answer.
        """
        return await self._core.history(channel, limit, since, reverse)

    async def inbox(self, user: str) -> list[Publication]:
        """Return what a user has not confirmed, the oldest first; see ``send_to_user``.

        ``len(await push.inbox(user))`` is the number for a badge.

        Raises:
            ValueError: the user cannot be used.
            BrokerError: the broker did not answer.
        """
        return await self._core.inbox.read(user)

    async def clear_inbox(self, user: str) -> int:
        """Take everything out of a user's inbox, as if it were confirmed.

        Returns:
            how many publications there were.

        Raises:
            ValueError: the user cannot be used.
            BrokerError: the broker did not answer.
        """
        return await self._core.inbox.clear(user)

    # -- sessions -------------------------------------------------------------------------------

    def sessions(self, user: str | None = None, channel: str | None = None) -> list[Session]:
        """Return sessions of this process, the oldest first: all, a user's, a channel's, or both.

        Sessions of other processes are not among them: ask ``is_online`` and ``presence``.
        """
        return list(self._core.sessions(user, channel))

    async def is_online(self, user: str) -> bool:
        """Return whether a user has a session in any process.

        The sessions of a process that was killed count for up to 6 seconds more.

        Raises:
            ValueError: the user cannot be used.
            BrokerError: this process has none, and the broker did not answer.
        """
        return await self._core.is_online(user)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel in any process, by session id. See ``is_online``.

        Raises:
            ValueError: the channel cannot be used, or its namespace has no presence.
            BrokerError: the broker did not answer.
        """
        return await self._core.presence(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Return how many sessions and users are in a channel. See ``presence``."""
        return presence_stats(await self.presence(channel))

    async def subscribe(self, user: str, channel: str) -> int:
        """Subscribe all sessions that a user has now to a channel, without asking ``authorize``.

        A session that is in the channel is left alone. A session that has ``max_channels`` already
        is left alone too, with a warning in the log. For one session there is
        ``session.subscribe``.

        Returns:
            how many sessions of the user are in the channel now, in all processes.

        Raises:
            ValueError: the user cannot be used, or the channel is a user's own (``#...``) or
                everybody's (``*``).
            BrokerError: the broker did not take it, or a process did not do it in time.
        """
        return await self._core.change_channels("subscribe", user, channel)

    async def unsubscribe(self, user: str, channel: str) -> int:
        """Unsubscribe all sessions of a user from a channel; return how many were in it.

        See ``subscribe``.
        """
        return await self._core.change_channels("unsubscribe", user, channel)

    async def disconnect(
        self,
        user: str | None = None,
        session: str | None = None,
        disconnect: Disconnect = Disconnect.FORCE,
    ) -> None:
        """Close all sessions of a user, or one session by its id.

        It is no error if there is none. What was published before is sent first. ``disconnect``
        has the close code and the reason; the default tells the client not to come back.

        Raises:
            ValueError: neither a user nor a session is named, or a close frame cannot carry the
                code or the reason.
        """
        await self._core.disconnect(user, session, disconnect)

    async def drain(self, over: float = 10.0) -> int:
        """Close the sessions of this process before it ends, one after the other.

        From now on new sessions are refused and ``{http_path}/health`` answers 503. The open
        sessions are closed with ``Disconnect.SHUTDOWN``, spread evenly over the time, so that
        their clients do not all come back at once. Until then they get what is published. A drain
        cannot be undone, except by a restart.

        Args:
            over: in seconds; 0 closes all at once.

        Returns:
            how many sessions there were; it takes ``over`` and at most a few seconds more.

        Raises:
            ValueError: ``over`` is no finite number of at least 0.
        """
        return await self._core.drain(over)


def core_of(push: Push) -> Core:
    """Return the inside of a ``Push``, which the middleware hands to the endpoints."""
    return push._core
