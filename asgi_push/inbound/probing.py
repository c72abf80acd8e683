"""Probing of a user's sessions: those without a living peer give their place to a new one."""

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

# Seconds between two probes in the other processes: a client that is refused again and again must
# not make work for all of them.
_INTERVAL = 1.0


class Prober:
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
        self._rate = RateLimit(_INTERVAL)

    def probe_everywhere(self, user: str) -> None:
        """Ping the sessions that a user has in any process.

        The other processes are asked at most once a second. In between, and for anonymous
        sessions, only those of this process are pinged.
        """
        if user and self._rate.allow("", clock.monotonic()) is not None:
            self._owner.spawn(self._probe_everywhere, user)
        else:
            self.probe(user)

    def probe(self, user: str) -> None:
        """Ping the sessions that a user has in this process, if their protocol has pings."""
        now = clock.monotonic()
        for session in self._registry.sessions_of(user):
            if isinstance(session.heartbeat, ServerHeartbeat):
                session.heartbeat.hurry(now)
                self._owner.look_after(session)

    async def _probe_everywhere(self, user: str) -> None:
        command: dict[str, Any] = {"verb": "probe", "user": user}
        self.probe(user)
        with suppress(BrokerError):  # the next session that is refused probes again
            await self._broker.command(orjson.dumps(command))
