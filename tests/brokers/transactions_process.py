"""A process that publishes in transactions, many at once, until all are made or it is killed.

``python -m tests.brokers.transactions_process URL TRANSACTIONS CHANNELS CONNECTIONS``; which transaction is the next
says the sequence ``turns``. What commits is in the table ``ledger``, too. A third is rolled back.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress

import psycopg

from asgi_push import Push


async def transaction(push: Push, connection: psycopg.AsyncConnection, turn: int, channels: int) -> None:
    """Publish to some channels, in any order; by the library, by SQL, and in a savepoint that is rolled back."""
    chance = random.Random(turn)
    for place in range(chance.randint(1, 5)):
        channel, name = f"channel:{chance.randrange(channels)}", f"{turn}.{place}"
        with suppress(ZeroDivisionError):
            async with connection.transaction():
                if chance.random() < 0.5:
                    await push.publish(channel, name, using=connection)
                else:
                    await connection.execute("SELECT asgi_push_publish(%s, to_json(%s::text))", [channel, name])
                await connection.execute("INSERT INTO ledger (channel, name) VALUES (%s, %s)", [channel, name])
                if chance.random() < 0.1:
                    raise ZeroDivisionError
    await (connection.rollback() if turn % 3 == 0 else connection.commit())


async def work(url: str, transactions: int, channels: int) -> None:
    push = Push(broker=url, history_size=100_000, history_ttl=3600.0)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        while True:
            cursor = await connection.execute("SELECT nextval('turns')")
            (turn,) = await cursor.fetchone() or (0,)
            if turn > transactions:
                return
            await transaction(push, connection, turn, channels)


async def main(url: str, transactions: int, channels: int, connections: int) -> None:
    await asyncio.gather(*[work(url, transactions, channels) for _ in range(connections)])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
