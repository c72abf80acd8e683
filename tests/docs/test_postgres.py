"""The SQL of the page on PostgreSQL is run."""

from __future__ import annotations

import pytest

from tests.brokers.postgres_server import PostgresServer
from tests.brokers.station import station
from tests.docs.blocks import BLOCKS

SQL = [block for block in BLOCKS if block.language == "sql"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def test_sql(postgres: PostgresServer) -> None:
    """Each statement publishes what the page says, and so does the trigger."""
    assert {block.page for block in SQL} == {"docs/guides/postgres.md"}
    postgres.empty()
    postgres.do("DROP TABLE IF EXISTS orders")
    async with station(postgres.url, hears=False) as here:
        for channel in ("orders", "#11"):
            await here.broker.join(channel, kept=True)
        for block in SQL:
            postgres.do(block.text)
        postgres.do("INSERT INTO orders VALUES (9)")
        found = [((item := await here.next()).channel, item.data) for _ in range(6)]
    postgres.do("DROP TABLE orders; DROP FUNCTION tell_of_order")
    assert sorted(found, key=str) == [
        ("#11", {"id": 7, "status": "shipped"}),
        ("#11", {"id": 7}),
        ("#11", {"id": 7}),
        ("orders", {"id": 7}),
        ("orders", {"id": 7}),
        ("orders", {"number": 9}),
    ]
