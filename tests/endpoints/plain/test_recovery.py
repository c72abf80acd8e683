"""Whatever happens between a server and its pages: each sees every publication in order, once, or is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests import asgi
from tests.endpoints.centrifuge.test_recovery import RecoveryMachine, run
from tests.endpoints.plain.simulation import PageModel


class EnvelopeMachine(RecoveryMachine):
    """The same server, steps and faults, with pages that keep the ids of envelopes."""

    def make_client(self, user: str, *, together: bool) -> Any:
        return PageModel(self.broker, user, self.channels_of)

    def channels_of(self, session_id: str) -> list[str]:
        session = self.hub.registry.get(session_id)
        return [] if session is None else session.channels

    async def dial(self, which: int) -> asgi.Client:
        client: Any = self.clients[which]
        headers = {"authorization": f"Bearer {client.user}"}
        return await self.server.connect("/ws", query=client.query, headers=headers)

    def ask_again(self, which: int, channel: str) -> None:
        self.cut(which, True)
        self.subscribe(which, channel, 0)
        self.connect(which)


def test_nothing_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all that SDK clients are put through, and with the same promise."""
    run(EnvelopeMachine, monkeypatch)
