"""Receipts and answers go between processes over PostgreSQL, too, where one NOTIFY carries only so much."""

from __future__ import annotations

import anyio
import pytest

from asgi_push import NoAnswerError, Push
from tests import asgi
from tests.brokers.postgres_server import PostgresServer
from tests.endpoints.centrifuge.peers import house

LONG = 60.0


async def ann(connection: object) -> str:
    return "ann"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_clients_of_another_process_confirm_and_answer(postgres: PostgresServer) -> None:
    """Also with an answer as long as a client may send, which comes whole."""
    postgres.empty()
    answers = list[object]()
    async with house(broker=postgres.url, authenticate=ann) as there, Push(broker=postgres.url) as here:
        peer = await there.peer()
        await peer.ask("subscribe", channel="news")
        (session,) = there.push.sessions()

        async def ask() -> None:
            answers.append(await here.ask("?", user="ann", timeout=LONG))

        async def publish() -> None:
            result = await here.publish("news", 1, confirm=LONG)
            answers.append((result.confirmed, result.receivers))

        with anyio.fail_after(asgi.PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                question = (await peer.hear())["push"]["message"]["data"]
                told = {"id": question["id"], "data": "x" * 60_000}
                assert "error" not in await peer.ask("rpc", method="push.answer", data=told)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(publish)
                offset = (await peer.hear())["push"]["pub"]["offset"]
                await peer.ask("rpc", method="push.ack", data={"channel": "news", "offset": offset})
            assert await here.subscribe("ann", "other") == 1
            with pytest.raises(NoAnswerError):
                await here.ask("?", user="bob", timeout=LONG)
        assert answers == ["x" * 60_000, ([session.id], 1)]
