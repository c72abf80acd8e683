"""Commands that many clients send alike are read once, and all others each time."""

from typing import Any

import pytest

from asgi_push.protocols.centrifuge.codec import SdkCodec
from asgi_push.protocols.centrifuge.commands import PONG, Command, Subscribe
from asgi_push.protocols.centrifuge.errors import Violation
from asgi_push.protocols.centrifuge.json_codec import CODEC, JsonEncoding
from asgi_push.protocols.centrifuge.known_commands import KnownCommands

texts: list[str] = []  # that were read


def read(text: str) -> Command[Any]:
    texts.append(text)
    (command,) = SdkCodec(JsonEncoding()).decode(text)
    return command


@pytest.fixture(autouse=True)
def _nothing_was_read() -> None:
    texts.clear()


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"id":1,"connect":{}}',
        '{"connect":{"name":"js"},"id":1}',
        '{"id":2,"subscribe":{"channel":"news"}}',
        '{"id":2,"subscribe":{"channel":"news","recover":true,"offset":7,"epoch":"Xk3"}}',
    ],
)
def test_what_crowds_send_is_read_once(text: str) -> None:
    """Each client gets the command that was read for the first."""
    known = KnownCommands(read)
    assert known.read(text) == known.read(text) == read(text)
    assert texts == [text, text]
    assert [*CODEC.decode(f"{text}\n{text}")] == [read(text)] * 2


@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"connect":{"token":"secret"}}',
        '{"id":1,"connect":{"data":"secret"}}',
        '{"id":1,"connect":{"headers":{"cookie":"secret"}}}',
        '{"id":1,"connect":{"subs":{"news":{"recover":true}}}}',
        '{"id":2,"subscribe":{"channel":"news","token":"secret"}}',
        '{"id":2,"subscribe":{"channel":"news","data":null,"x":"%s"}}' % ("x" * 300),
        '{"id":2,"subscribe":{"channel":"news","data":{"a":1}}}',
        '{"id":3,"publish":{"channel":"news","data":"secret"}}',
        '{"id":3,"rpc":{"method":"login","data":"secret"}}',
        '{"send":{"data":"secret"}}',
    ],
)
def test_what_is_one_clients_own_is_not_kept(text: str) -> None:
    """Neither a secret nor a long command stays in memory."""
    known = KnownCommands(read)
    assert known.read(text) == known.read(text)
    assert (texts, len(known)) == ([text, text], 0)


def test_what_is_wrong_is_wrong_each_time() -> None:
    """A violation is not kept."""
    known = KnownCommands(read)
    for _ in range(2):
        with pytest.raises(Violation):
            known.read('{"id":1,"connect":7}')
    assert len(known) == 0


def test_those_that_are_known_are_bounded() -> None:
    """Clients that each send something else find room all the same, and are understood."""
    known = KnownCommands(lambda text: Command(1, "subscribe", Subscribe(text), len(text)))
    for number in range(2500):
        assert known.read(f"channel{number}").request.channel == f"channel{number}"
        assert 0 < len(known) <= 1000


def test_a_pong_is_the_one_pong() -> None:
    """Whatever makes it one."""
    known = KnownCommands(read)
    assert known.read("{}") is known.read('{"x":1}') is PONG
