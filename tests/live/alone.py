"""An application that says when it has looked for other workers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette

from asgi_push import PushMiddleware
from asgi_push.runtime import workers as siblings

siblings._GRACE = 0.2


async def look() -> None:
    await anyio.sleep(3 * siblings._GRACE)  # begins after the other sleep, and ends after it
    print("looked", flush=True)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        yield


app = PushMiddleware(Starlette(lifespan=lifespan))
