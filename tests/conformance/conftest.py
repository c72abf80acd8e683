from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Serve, Server

# What uvicorn writes when an application raises, and a line of a traceback through this package. (Of text that is no
# UTF-8 uvicorn shows where it found that.)
_RAISED = ("Exception in ASGI", "/asgi_push/")


@pytest.fixture(scope="session", params=["asyncio", "uvloop"])
def server(serve: Serve, request: pytest.FixtureRequest) -> Iterator[Server]:
    """uvicorn on each of its event loops; nothing is raised in it, whatever clients do."""
    with serve("tests.conformance.app:app", args=["--loop", request.param]) as server:
        yield server
        assert [line for line in server.log().splitlines() if any(words in line for words in _RAISED)] == []
