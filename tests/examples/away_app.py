"""The example of somebody who is away; a push service of this machine is one, and 5 s are what the test says."""

from __future__ import annotations

import os

from asgi_push.notify import WebPush

assert WebPush.__init__.__kwdefaults__ is not None
WebPush.__init__.__kwdefaults__["hosts"] = ("127.0.0.1",)

from examples.away import app as example  # noqa: E402  # it makes its hook when it is imported

example.SECONDS = float(os.environ["SECONDS"])
app = example.app
