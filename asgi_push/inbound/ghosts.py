"""Sessions whose peers may be gone: they are asked for a sign of life when they take up a place."""

from contextlib import suppress
from typing import Any

import orjson

from .. import clock
from ..brokers import Broker
from ..connection import Connection, Owner
from ..errors import BrokerError
from ..heartbeat import ServerHeartbeat
from ..logs import RateLimit
from ..registry import Registry
from ..subscription import Subscription

# Seconds between two questions to the other processes: a client that is refused again and again
# must not make work for all of them.
_EVERY = 1.0


class Ghosts:
    """Pings the sessions of a user; the heartbeat closes those that do not answer in time."""

    def __init__(
        self,
        registry: Registry[Connection, Subscription],
        broker: Broker,
        owner: Owner,
    ) -> None:
        self._registry = registry
        self._broker = broker
        self._owner = owner
        self._quiet = RateLimit(_EVERY)

    def suspect(self, user: str) -> None:
        """Ping the sessions of a user who was refused one more, in all processes."""
        if user and self._quiet.allow("", clock.monotonic()) is not None:
            self._owner.spawn(self._ask_everywhere, user)
        else:
            self.ask(user)

    def ask(self, user: str) -> None:
        """Ping the sessions of a user in this process, if their protocol has pings."""
        now = clock.monotonic()
        for session in self._registry.sessions_of(user):
            if isinstance(session.heartbeat, ServerHeartbeat):
                session.heartbeat.hurry(now)
                self._owner.look_after(session)

    async def _ask_everywhere(self, user: str) -> None:
        command: dict[str, Any] = {"verb": "probe", "user": user}
        self.ask(user)
        with suppress(BrokerError):  # the next who is refused asks again
            await self._broker.command(orjson.dumps(command))
