# uvicorn examples.background_thread:app
"""A thread that pushes: a scheduled job, the consumer of a queue, any code that cannot await."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from anyio import to_thread
from starlette.applications import Starlette

from asgi_push import Push, PushMiddleware

EVERY = 1.0  # seconds

push = Push(path="/websocket/{user_id}")


def tell_time(stop: threading.Event) -> None:
    while not stop.wait(EVERY):
        push.blocking.send_to_all({"time": datetime.now(UTC).isoformat()})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=tell_time, args=[stop])
    thread.start()
    yield
    stop.set()
    # A join() right here would hang: the thread may be waiting for this loop.
    await to_thread.run_sync(thread.join)


app = PushMiddleware(Starlette(lifespan=lifespan), push)
