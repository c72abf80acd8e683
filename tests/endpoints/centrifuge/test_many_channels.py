"""A client asks for all that max_channels allows in one frame, each time that it comes."""

from __future__ import annotations

import pytest

from tests.endpoints.centrifuge.apps import SECRET
from tests.endpoints.centrifuge.clients import token
from tests.endpoints.centrifuge.peers import house


def claims(channel: str) -> str:
    """A subscription token with as much in it as a real one has."""
    return token("ann", channel=channel, info={"name": "x" * 600}, jti="y" * 600)


CAME_BACK = {"recover": True, "offset": 10**15, "epoch": "Abcd_123"}


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
async def test_all_channels_in_one_frame(again: bool, encoding: str) -> None:
    """With default settings, the longest names, and tokens; on return with a position in each, too."""
    names = [f"orders:{number:03}:".ljust(255, "n") for number in range(128)]
    async with house(encoding, max_channels=128, token_secret=SECRET) as home:
        peer = await home.stranger()
        position = CAME_BACK if again else {}
        asked = [
            {"id": number, "subscribe": {"channel": name, "token": claims(name)} | position}
            for number, name in enumerate(names, 2)
        ]
        peer.say({"id": 1, "connect": {"token": token("ann")}}, *asked)
        assert "connect" in await peer.hear()
        answers = [await peer.hear() for _ in names]
        assert [answer["id"] for answer in answers] == [command["id"] for command in asked]
        assert all("subscribe" in answer for answer in answers)


async def test_more_channels_than_messages_may_wait(encoding: str) -> None:
    """What is asked for is taken as fast as it is answered, whatever queue_messages is."""
    async with house(encoding, max_channels=2000, queue_messages=10) as home:
        peer = await home.stranger()
        asked = [{"id": number, "subscribe": {"channel": f"live:{number}"}} for number in range(2, 2002)]
        peer.say({"id": 1, "connect": {}}, *asked)
        assert "connect" in await peer.hear()
        assert [(await peer.hear())["id"] for _ in asked] == list(range(2, 2002))


async def test_connect_may_go_on_with_all_channels(encoding: str) -> None:
    """Those that the server puts it into are in the one command."""
    names = [f"news:{number:03}:".ljust(255, "n") for number in range(600)]
    async with house(encoding, max_channels=600) as home:
        peer = await home.stranger()
        if encoding == "json":
            peer.say({"id": 1, "connect": {"subs": dict.fromkeys(names, CAME_BACK)}})
            assert "connect" in await peer.hear()


@pytest.mark.parametrize("method", ["publish", "rpc", "subscribe"])
async def test_one_command_is_as_large_as_a_message(
    method: str, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    """That a frame may be larger is for many commands; the log names what to raise."""
    async with house(encoding, max_message_bytes=5000) as home:
        peer = await home.peer()
        fields = {"subscribe": {"channel": "a", "token": "x" * 6000}, "rpc": {"method": "x" * 6000}}
        peer.say({"id": 2, method: fields.get(method, {"channel": "a" * 6000})})
        assert await peer.closed() == 1009
    assert "max_message_bytes" in caplog.text


async def test_a_frame_that_is_too_large(caplog: pytest.LogCaptureFixture) -> None:
    """It is not looked at; the log names both settings that bound it."""
    async with house(max_message_bytes=1000, max_channels=2) as home:
        peer = await home.stranger()
        peer.client.send("x" * (1000 + 4 * 4096 + 1))
        assert await peer.closed() == 1009
    assert "max_message_bytes and max_channels" in caplog.text
