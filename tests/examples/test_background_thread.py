from __future__ import annotations

import json
from datetime import datetime

from tests.examples.running import RunExample, connect, receive
from tests.servers import PATIENCE


def test_a_thread_pushes_until_the_server_stops(run_example: RunExample) -> None:
    """What a thread pushes reaches everybody, in order, and the server still stops cleanly."""
    with run_example("background_thread.py") as server:
        with connect(f"{server.ws}/websocket/11") as one, connect(f"{server.ws}/websocket/12") as other:
            for websocket in (one, other):
                first, second = (datetime.fromisoformat(json.loads(receive(websocket))["time"]) for _ in range(2))
                assert first < second
        server.stop(PATIENCE)
        assert "Application shutdown complete" in server.log()
