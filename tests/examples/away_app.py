"""The example of somebody who is away; a push service of this machine is one, and 5 s are what the test says.

Over HTTP the test says that, too, and asks how many messages an inbox has.
"""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_push.notify import WebPush

assert WebPush.__init__.__kwdefaults__ is not None
WebPush.__init__.__kwdefaults__["hosts"] = ("127.0.0.1",)

from examples.away import app as example  # noqa: E402  # it makes its hook when it is imported

example.SECONDS = float(os.environ["SECONDS"])
app = example.app


async def set_seconds(request: Request) -> JSONResponse:
    example.SECONDS = float(request.path_params["seconds"])
    return JSONResponse({})


async def kept(request: Request) -> JSONResponse:
    return JSONResponse(len(await example.push.inbox(request.path_params["user"])))


# Before the files of the page, which take every path.
app.router.routes[:0] = [
    Route("/seconds/{seconds}", set_seconds, methods=["POST"]),
    Route("/kept/{user}", kept),
]
