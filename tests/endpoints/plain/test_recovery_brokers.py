"""Two processes, one broker that fails between any two steps, and pages that keep the ids of envelopes."""

from __future__ import annotations

from typing import Any

import pytest

from tests import asgi
from tests.endpoints.centrifuge import test_recovery_postgres, test_recovery_redis
from tests.endpoints.centrifuge.broker_machine import BrokerMachine
from tests.endpoints.plain.simulation import PageModel


class Pages(BrokerMachine):
    """The same processes, steps and faults."""

    def make_client(self, user: str, *, together: bool) -> Any:
        return PageModel(self.ledger, user, self.channels_of)  # type: ignore[arg-type]

    async def dial(self, which: int, process: int) -> asgi.Client:
        client: Any = self.clients[which]
        headers = {"authorization": f"Bearer {client.user}"}
        return await self.servers[process].connect("/ws", query=client.query, headers=headers)

    def channels_of(self, session_id: str) -> list[str]:
        for push in self.pushes:
            for session in push.sessions():
                if session.id == session_id:
                    return session.channels
        return []


class PagesOverRedis(Pages, test_recovery_redis.RedisMachine):
    """With the faults of Redis."""


class PagesOverPostgres(Pages, test_recovery_postgres.PostgresMachine):
    """With the faults of PostgreSQL."""


def test_nothing_is_lost_in_silence_over_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all that SDK clients are put through, and with the same promise."""
    test_recovery_redis.take_through(PagesOverRedis, monkeypatch)


def test_nothing_is_lost_in_silence_over_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same."""
    test_recovery_postgres.take_through(PagesOverPostgres, monkeypatch)
