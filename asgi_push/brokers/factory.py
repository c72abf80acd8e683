"""Makes the broker that the settings name."""

from ..errors import SettingsError
from ..settings import Settings
from .contract import Broker, PresenceStore
from .memory import MemoryBroker, MemoryPresence


def make_broker(settings: Settings) -> tuple[Broker, PresenceStore]:
    """Return the broker of the settings, and who knows who is in a channel.

    Raises:
        SettingsError: the library that it needs is missing, or the URL cannot be used.
    """
    if settings.broker.startswith("memory:"):
        return MemoryBroker(), MemoryPresence()
    try:
        from .redis.broker import RedisBroker  # noqa: PLC0415  # optional: imported on use
        from .redis.presence import RedisPresence  # noqa: PLC0415
    except ImportError:
        raise SettingsError('broker needs redis-py: pip install "redis[hiredis]>=6"') from None
    try:
        broker = RedisBroker(settings.broker, settings.redis_prefix)
    except ValueError as error:
        raise SettingsError(f"ASGI_PUSH_BROKER (broker) cannot be used: {error}") from None
    return broker, RedisPresence(broker.link, broker.keys, settings)
