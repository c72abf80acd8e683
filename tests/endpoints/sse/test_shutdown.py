"""A server that stops has no event stream to wait for."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.endpoints.sse.streams import stream
from tests.live.talking import PATIENCE
from tests.servers import Serve


@pytest.mark.parametrize("kind", ["uvicorn-sansio", "hypercorn-asyncio", "hypercorn-trio", "granian", "daphne"])
def test_shutdown_is_bounded(serve: Serve, kind: str) -> None:
    """SIGTERM with a stream open: it ends, the process ends by itself, and no error of ours is logged."""
    with (
        serve("tests.endpoints.sse.app:app", kind=kind, env={"ASGI_PUSH_SSE": "true"}) as server,
        stream(server, "user=lee") as events,
        ThreadPoolExecutor(1) as thread,
    ):
        stopped = thread.submit(server.stop, 20.0)
        with suppress(httpx.RemoteProtocolError):  # hypercorn tells nobody
            assert events.take(1) == ['{"code":3001,"reason":"shutdown"}'] or "hypercorn" in kind
            assert events.next() is None
        assert stopped.result(PATIENCE) != -signal.SIGKILL
        assert "asgi_push/hub" not in server.log()


def test_ctrl_c(serve: Serve) -> None:
    """SIGINT, which nothing drains at: the stream ends, and the server with it."""
    with (
        serve("tests.endpoints.sse.app:app", env={"ASGI_PUSH_SSE": "true", "ASGI_PUSH_DRAIN_TIMEOUT": "20"}) as server,
        stream(server, "user=lee") as events,
    ):
        server.process.send_signal(signal.SIGINT)
        assert events.take(1) == ['{"code":3001,"reason":"shutdown"}']
        assert events.next() is None
        server.process.wait(PATIENCE)
