"""What must hold of the projects of the page on PostgreSQL; see scenarios.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from tests import servers
from tests.brokers.postgres_server import postgres_server
from tests.docs.publishing_scenarios import connected
from tests.docs.scenarios import PATIENCE, Stage


def postgres_transactions(stage: Stage) -> None:
    """An order is told of if it was placed or cancelled, and never if it was not, by whichever worker."""
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server())
        postgres.do("CREATE TABLE orders (number integer PRIMARY KEY)")
        path = os.pathsep.join([str(servers.ROOT), str(stage.folder)])
        env = {"PYTHONPATH": path, "ASGI_PUSH_BROKER": postgres.url, "DATABASE_URL": postgres.url}
        server = stack.enter_context(servers.serve("app:app", args=["--workers", "2"], env=env, log_dir=stage.folder))
        client = stack.enter_context(connected(server, "11"))
        answers = [httpx.post(f"{server.http}/orders/{number}").status_code for number in (7, 7, 8)]
        assert answers == [200, 500, 200]
        for number in (7, 8):
            assert client.recv(PATIENCE) == f'{{"order":{number},"status":"placed"}}'
        assert httpx.delete(f"{server.http}/orders/7").status_code == 200
        assert client.recv(PATIENCE) == '{"order":7,"status":"cancelled"}'
        assert httpx.post(f"{server.http}/orders/7").status_code == 200  # it is gone


SCENARIOS: dict[str, Callable[[Stage], None]] = {"postgres_transactions": postgres_transactions}
