"""Publishing inside a transaction of the application has a span too."""

from __future__ import annotations

import psycopg
import pytest

from asgi_push import Push
from tests.asgi import pushing
from tests.brokers.postgres_server import PostgresServer
from tests.tracing.spans import Recorder, leads_to


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_run_is_below_what_was_committed(postgres: PostgresServer, *, blocking: bool) -> None:
    """Where the publication was made nothing of Push needs to run."""
    postgres.empty()
    here, there = Recorder(), Recorder()
    with here.recording():
        push = Push(broker=postgres.url, tracing=True)
    with there.recording():
        async with pushing(broker=postgres.url, tracing=True) as (_, server):
            client = await server.connect("/ws/11")
            with psycopg.connect(postgres.url) as connection, here.request() as request:
                if blocking:
                    push.blocking.publish("#11", "hello", using=connection)
                else:
                    await push.publish("#11", "hello", using=connection)
            assert await client.receive() == "hello"
    publication, run = here.one("publish"), there.one("deliver")
    assert leads_to(request, publication)
    assert leads_to(publication, run)
    assert "asgi_push.receivers" not in (publication.attributes or {})
    assert (publication.attributes or {})["asgi_push.broker"] == "postgres"
