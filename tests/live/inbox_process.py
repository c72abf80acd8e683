"""A process that publishes into inboxes until it is killed, or one that dies in on_undelivered.

``python -m tests.live.inbox_process publish|hang URL PREFIX``
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from asgi_push import Publication, Push
from asgi_push.inbox import undelivered

LEASE = 3.0  # seconds: that long a busy machine lets no process stand still


def publish(url: str, prefix: str) -> None:
    with Push(broker=url, redis_prefix=prefix) as push:
        print("ready", flush=True)
        for number in count():
            push.blocking.send_to_user(f"{number}", number, inbox=True, undelivered_after=0.5)
            print(number, flush=True)


def hang(url: str, prefix: str) -> None:
    undelivered._LEASE = LEASE
    undelivered._RENEW_EVERY = 0.2
    undelivered._POLL = 0.02
    undelivered._TOGETHER = 1  # it claims nothing else

    async def on_undelivered(user: str, publication: Publication) -> None:
        print("called", flush=True)
        await asyncio.sleep(3600)

    async def run() -> None:
        async with Push(broker=url, redis_prefix=prefix, on_undelivered=on_undelivered):
            print("ready", flush=True)
            await asyncio.sleep(3600)

    asyncio.run(run())


if __name__ == "__main__":
    {"publish": publish, "hang": hang}[sys.argv[1]](*sys.argv[2:])
