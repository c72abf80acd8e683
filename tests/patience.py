"""How long tests wait, and libraries in their place."""

from __future__ import annotations

import sys
from functools import cache

# After so many seconds what a test waits for is not slow but wrong, however busy the machine is.
PATIENCE = 60.0


def lend() -> None:
    """Let the libraries that tests have imported wait as long as tests do, where nobody says how long.

    By themselves they give up after 5 to 20 s, which a worker of a busy machine may take to start.
    """
    modules = sys.modules
    patient = dict.fromkeys(("open_timeout", "ping_timeout"), PATIENCE)
    if (sync := modules.get("websockets.sync.client")) is not None:
        sync.connect.__kwdefaults__.update(patient)
    if (asynchronous := modules.get("websockets.asyncio.client")) is not None:
        asynchronous.connect.__init__.__kwdefaults__.update(patient)
    if (httpx := modules.get("httpx")) is not None:
        vars(httpx._config.DEFAULT_TIMEOUT_CONFIG).update(dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE))
    if (playwright := modules.get("playwright.sync_api")) is not None:
        playwright.expect.set_options(timeout=PATIENCE * 1000)  # in milliseconds


def spare() -> None:
    """Let httpx read the certificates of the world once: each client would, for 40 ms of CPU."""
    if (transports := sys.modules.get("httpx._transports.default")) is not None:
        transports.create_ssl_context = cache(transports.create_ssl_context)
