"""An application that says when it has looked for other workers."""

import os

from starlette.applications import Starlette

from asgi_push import PushMiddleware
from asgi_push.hub import hub
from asgi_push.runtime import workers

workers._GRACE = float(os.environ.get("GRACE", "0.2"))


async def look() -> None:
    await workers.warn_about_multiple_workers()
    print("looked", flush=True)


hub.warn_about_multiple_workers = look
app = PushMiddleware(Starlette())
