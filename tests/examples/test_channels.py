from __future__ import annotations

import json
from typing import Any

import httpx

from tests.examples.running import RunExample, connected, receive
from tests.servers import Server


def say(server: Server, room: int, text: str) -> Any:
    return httpx.post(f"{server.http}/rooms/{room}", params={"text": text}).json()


def test_a_client_gets_the_rooms_that_it_may_have(run_example: RunExample) -> None:
    """Of the channels that a client asks for it gets those that authorize allows."""
    with (
        run_example("channels.py") as server,
        connected(f"{server.ws}/websocket/11?channels=room:1,room:2") as one,
        connected(f"{server.ws}/websocket/12?channels=room:1,room:2") as other,
        connected(f"{server.ws}/websocket/12"),
    ):
        assert say(server, 2, "not for 11") == {"receivers": 1}
        assert say(server, 1, "for both") == {"receivers": 2}
        assert json.loads(receive(one)) == {"room": 1, "text": "for both"}
        assert json.loads(receive(other)) == {"room": 2, "text": "not for 11"}
        assert json.loads(receive(other)) == {"room": 1, "text": "for both"}
