"""SDK clients of two processes over one PostgreSQL that fails between any two steps.

The truth is what the database keeps: it keeps everything for a minute, whatever the histories are.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from asgi_push import StreamPosition
from asgi_push.brokers import envelope
from asgi_push.brokers.postgres.cursor import Row
from tests.brokers.postgres_server import PostgresServer, postgres_server
from tests.brokers.station import hurry
from tests.endpoints.centrifuge.broker_machine import ALL, BrokerMachine, Ledger, Top, channels, hub_of, processes, run

EXAMPLES = int(os.environ.get("RECOVERY_EXAMPLES", "2"))


class PostgresLedger(Ledger):
    def __init__(self, server: PostgresServer) -> None:
        super().__init__()
        self._connection = server.connect()
        self._places = dict.fromkeys(ALL, 0)

    def get(self, channel: str) -> Top:
        found = self._connection.execute("SELECT top, epoch FROM asgi_push.channels WHERE channel = %s", [channel])
        return Top(StreamPosition(*(found.fetchone() or (0, ""))))

    def listen(self) -> None:
        rows = self._connection.execute(
            "SELECT * FROM asgi_push.read(%s, %s::bigint[], 100000)", [[*self._places], [*self._places.values()]]
        )
        for row in [Row(*row) for row in rows]:
            if row.seq is not None:
                self._places[row.channel] = row.seq
                epoch = row.epoch if row.offset else ""
                self.note(envelope.parse_body(row.channel, bytes(row.body or b""), row.offset or 0, epoch))

    def forget_all(self) -> None:
        """Have the database forget everything, with nothing published between the last look and that."""
        with self._connection.transaction():
            self._connection.execute("LOCK TABLE asgi_push.channels, asgi_push.items")
            self.listen()
            self._connection.execute("TRUNCATE asgi_push.channels, asgi_push.items, asgi_push.results")
        self._places = dict.fromkeys(ALL, 0)

    def close(self) -> None:
        self._connection.close()


class PostgresMachine(BrokerMachine):
    server: PostgresServer
    ledger: PostgresLedger

    def make_ledger(self) -> Ledger:
        self.server.empty()
        return PostgresLedger(self.server)

    def broker_settings(self) -> dict[str, Any]:
        return {"broker": self.server.url}

    def is_busy(self, broker: Any) -> bool:
        consumer = broker._consumer
        waits = broker.writing._waiting or broker.reading._waiting
        return bool(waits or consumer._work.is_set() or consumer._wanted)

    def check(self, broker: Any) -> None:
        broker._consumer.want_all()

    # -- faults -----------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 10))
    def kill_a_connection(self, which: int) -> None:
        """Of one of the processes."""
        self.server.do(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'asgi_push' ORDER BY pid OFFSET %s LIMIT 1) one",
            which,
        )

    @rule(process=processes, hears=st.booleans())
    def lose(self, process: int, hears: bool) -> None:
        """Notifications to a process are lost from now on, or come again."""
        broker = self.do(hub_of(self.pushes[process])).broker
        broker.woken = broker._consumer.want if hears else lambda channels: None

    @rule(channel=channels)
    def expire(self, channel: str) -> None:
        """A history is over."""
        self.server.do("UPDATE asgi_push.channels SET expires_at = '-infinity' WHERE channel = %s", channel)

    @rule()
    def forget_all(self) -> None:
        """The database has nothing any more."""
        self.ledger.forget_all()


def take_through(machine: type[PostgresMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a PostgreSQL of its own."""
    hurry(monkeypatch)
    with postgres_server() as server:
        machine.server = server
        run(machine, EXAMPLES)


def test_nothing_is_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all that clients are put through over Redis, and with the same promise."""
    take_through(PostgresMachine, monkeypatch)
