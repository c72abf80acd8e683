from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Serve, Server

# What uvicorn writes when an application raises, and a line of a traceback through this package. (Of text that is no
# UTF-8 uvicorn shows where it found that.)
_RAISED = ("Exception in ASGI", "/asgi_push/")


SERVERS = {
    "asyncio": ("tests.conformance.app:app", ["--loop", "asyncio"]),
    "uvloop": ("tests.conformance.app:app", ["--loop", "uvloop"]),
    "behind": ("tests.conformance.behind:app", ["--loop", "uvloop"]),
}


@pytest.fixture(scope="session", params=SERVERS)
def server(serve: Serve, request: pytest.FixtureRequest) -> Iterator[Server]:
    """uvicorn on each of its event loops, and behind middlewares; nothing is raised in it, whatever clients do."""
    app, args = SERVERS[request.param]
    with serve(app, args=args) as server:
        yield server
        assert [line for line in server.log().splitlines() if any(words in line for words in _RAISED)] == []
