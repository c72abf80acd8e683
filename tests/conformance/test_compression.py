"""Compressed publications among all else on a connection: every window and every agreement, both ways (RFC 7692)."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from tests.conformance.client import DEFLATE
from tests.conformance.control import Desk
from tests.conformance.mixture import mixed_text
from tests.servers import Server

OFFERS = {
    "as browsers": DEFLATE,
    "no parameters": "permessage-deflate",
    **{f"server window of {bits}": f"{DEFLATE}; server_max_window_bits={bits}" for bits in (9, 10, 15)},
    **{f"client window of {bits}": f"permessage-deflate; client_max_window_bits={bits}" for bits in (8, 9, 15)},
    "no takeover by the server": f"{DEFLATE}; server_no_context_takeover",
    "no takeover by the client": f"{DEFLATE}; client_no_context_takeover",
    "no takeover": f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
}
COUNT = 60
WEBSOCKETS = tuple(int(part) for part in version("websockets").split(".")[:2])


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_publications_among_messages_of_the_server(server: Server, offer: str) -> None:
    """Each can be read with the window that was agreed on, in order; long ones are compressed."""
    desk = Desk(server)
    with desk.connect("mixed", deflate=offer) as client:
        desk.ask("mixed", user="mixed", count=COUNT)
        assert client.receive_all(COUNT) == [mixed_text(number) for number in range(COUNT)]
        by_server = COUNT // 4
        long = [number for number in range(COUNT) if number % 4 < 3 and len(mixed_text(number)) >= 512]
        assert client.compressed == by_server + len(long)
        assert client.plain == COUNT - client.compressed


@pytest.mark.parametrize("fragment", [1, 40, 100_000])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_messages_of_clients(server: Server, offer: str, fragment: int) -> None:
    """What a client compresses, in fragments, is read as it was, and is published back; pings come between."""
    with Desk(server).connect("echo", deflate=offer) as client:
        for number in range(8):
            client.send_compressed(mixed_text(number), fragment)
            assert client.receive() == mixed_text(number)
            assert client.receive_pong() == b"between"


@pytest.mark.skipif(WEBSOCKETS < (17, 2), reason="websockets before 17.2 answers it with status 500")
def test_a_window_that_nobody_compresses_for(server: Server) -> None:
    """It is not agreed on, and nothing is compressed."""
    desk = Desk(server)
    with desk.connect("mixed", deflate="permessage-deflate; server_max_window_bits=8") as client:
        assert client.agreed is None
        desk.ask("mixed", user="mixed", count=COUNT)
        assert client.receive_all(COUNT) == [mixed_text(number) for number in range(COUNT)]
