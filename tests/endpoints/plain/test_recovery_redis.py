"""Two processes, one Redis that fails between any two steps, and pages that keep the ids of envelopes."""

from __future__ import annotations

from typing import Any

import pytest

from tests import asgi
from tests.endpoints.centrifuge.test_recovery_redis import RedisMachine, run
from tests.endpoints.plain.simulation import PageModel


class EnvelopeRedisMachine(RedisMachine):
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


def test_nothing_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all that SDK clients are put through over Redis, and with the same promise."""
    run(EnvelopeRedisMachine, monkeypatch)
