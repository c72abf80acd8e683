"""Every message, in order, on every server and on both paths."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live.talking import PATIENCE, client, post, state
from tests.servers import KINDS, Serve, Server

CHANNELS = ("a", "b")
COUNT = 500


@pytest.fixture(scope="module", params=[*KINDS, "uvicorn-sansio queued", "uvicorn-sansio wrapped"])
def server(serve: Serve, request: pytest.FixtureRequest) -> Iterator[Server]:
    kind, _, how = request.param.partition(" ")
    app = "tests.live.app:wrapped_send" if how == "wrapped" else "tests.live.app:app"
    # Room for all of it: clients that share one process with each other look slow when the machine is.
    env = {"ASGI_PUSH_QUEUE_BYTES": "8000000", "ASGI_PUSH_SEND_TIMEOUT": "60"} | (
        {"ASGI_PUSH_DIRECT_WRITES": "false"} if how == "queued" else {}
    )
    with serve(app, kind=kind, env=env) as server:
        yield server


@pytest.mark.parametrize("size", [10, 3000])
def test_all_arrives_in_order(server: Server, size: int) -> None:
    """Two publishers faster than twenty clients: each gets each channel's publications, all, once, in order."""
    with ExitStack() as stack:
        clients = [stack.enter_context(client(server, str(user), "?channels=a,b")) for user in range(10)]
        post(server, "/burst", {"channels": CHANNELS, "count": COUNT, "size": size})
        for websocket in clients:
            received = [str(websocket.recv(PATIENCE)) for _ in range(COUNT * len(CHANNELS))]
            for channel in CHANNELS:
                own = [message.rstrip(".") for message in received if message.startswith(channel)]
                assert own == [f"{channel} {number:06d}" for number in range(COUNT)]
        assert len(state(server)["sessions"]) == 10
