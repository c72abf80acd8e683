"""What is taken for uvicorn's own ``send``: only that, as it is known; for anything else there is the ordinary path."""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from asgi_push.transports import direct_writes
from asgi_push.transports.direct_writes import DirectWriter, recognise


class Subclass(WebSocketsSansIOProtocol):
    """Somebody's own protocol, which may send in another way."""


def make_protocol(cls: type[WebSocketsSansIOProtocol] = WebSocketsSansIOProtocol) -> Any:
    """A protocol whose handshake is complete, without a connection."""
    protocol: Any = cls.__new__(cls)
    protocol.transport = SimpleNamespace(get_extra_info=lambda name: None)
    protocol.conn = SimpleNamespace(state=State.OPEN, extensions=[PerMessageDeflate(False, False, 12, 12)])
    protocol.writable = asyncio.Event()
    protocol.handshake_complete = True
    protocol.close_sent = protocol.disconnected = False
    return protocol


def test_uvicorns_send_is_recognised() -> None:
    """Of a connection that is open; with and without compression."""
    protocol = make_protocol()
    assert recognise(protocol.send) is protocol
    protocol.conn.extensions = []
    assert recognise(protocol.send) is protocol


@pytest.mark.parametrize("name", direct_writes._NEEDED)
def test_a_protocol_that_lacks_something_is_not(name: str) -> None:
    """An attribute that another version of uvicorn has no more is missed at the accept, not at a write."""
    protocol = make_protocol()
    delattr(protocol, name)
    assert recognise(protocol.send) is None


CHANGES: dict[str, Callable[[Any], object]] = {
    "not accepted": lambda protocol: setattr(protocol, "handshake_complete", False),
    "closing": lambda protocol: setattr(protocol.conn, "state", State.CLOSING),
    "another extension": lambda protocol: protocol.conn.extensions.append(SimpleNamespace()),
    "no extensions known": lambda protocol: delattr(protocol.conn, "extensions"),
    "another kind of writable": lambda protocol: setattr(protocol, "writable", True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_protocol_in_another_state_is_not(change: Callable[[Any], object]) -> None:
    """Nor one in which a plain frame would mean something else."""
    protocol = make_protocol()
    change(protocol)
    assert recognise(protocol.send) is None


class Proxy:
    """What instrumentation puts around a function: all attributes are those of what it wraps."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    async def __call__(self, message: Any) -> None:
        await self._wrapped(message)


def wrapped(send: Any) -> Any:
    @functools.wraps(send)
    async def louder(message: Any) -> None:
        await send(message)

    return louder


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "function": wrapped,
    "partial": functools.partial,
    "proxy": Proxy,
    "other method": lambda send: send.__self__.receive,
    "method of another": lambda send: functools.partialmethod(send).__get__(SimpleNamespace(), SimpleNamespace),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapped_send_is_not(wrap: Callable[[Any], Any]) -> None:
    """A middleware that looks at messages must see all of them."""
    assert recognise(wrap(make_protocol().send)) is None


def test_a_subclass_is_not() -> None:
    """It may have its own ways."""
    assert recognise(make_protocol(Subclass).send) is None


@pytest.mark.parametrize("name", ["uvicorn.protocols.websockets.websockets_sansio_impl", "websockets.protocol"])
def test_without_these_modules_nothing_is(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """On another server neither is loaded, and they are not loaded for the sake of looking."""
    protocol = make_protocol()
    monkeypatch.delitem(sys.modules, name)
    assert recognise(protocol.send) is None


def test_the_server_refers_to_nothing_that_it_sent_before() -> None:
    """From then on it compresses each of its messages from an empty window, and holds no compressor for it."""
    extension = PerMessageDeflate(False, False, 12, 11)
    protocol = make_protocol()
    protocol.conn.extensions = [extension]
    first, second = [extension.encode(Frame(Opcode.TEXT, b"the same")).data for _ in "12"]
    assert len(second) < len(first)
    assert DirectWriter(protocol).leave_context() == 11
    assert not hasattr(extension, "encoder")
    assert [extension.encode(Frame(Opcode.TEXT, b"the same")).data for _ in "12"] == [first, first]


@pytest.mark.parametrize(
    ("extensions", "bits"), [([], 0), ([SimpleNamespace()], 0), ([PerMessageDeflate(False, True, 12, 15)], 15)]
)
def test_the_window_of_other_connections(extensions: list[Any], bits: int) -> None:
    """There is none without compression, nor if it is not as it was; one that each message begins anew is as good."""
    protocol = make_protocol()
    protocol.conn.extensions = extensions
    assert DirectWriter(protocol).leave_context() == bits


def test_nothing_is_kept_of_the_handshake() -> None:
    """Its headers and offers are forgotten, where the server has them as it is known; the scope has its own."""
    protocol = make_protocol()
    protocol.conn.available_extensions = offers = [object()]
    protocol.request = SimpleNamespace(headers=Headers([("Host", "here")]))
    protocol.response = SimpleNamespace(headers=None)
    DirectWriter(protocol).forget_handshake()
    assert list(protocol.request.headers.raw_items()) == []
    assert protocol.conn.available_extensions is None
    assert offers, "another connection may have the same list"


class Transport:
    """One that holds some bytes already, although its socket would take more again."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.held = b"before"

    def get_extra_info(self, name: str) -> Any:
        return self.connection if name == "socket" else None

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def write(self, data: bytes) -> None:
        self.held += data


def test_nothing_goes_around_what_a_transport_holds() -> None:
    """The kernel may have room again before the event loop has seen it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        protocol = make_protocol()
        protocol.transport = Transport(ours)
        writer = DirectWriter(protocol)
        assert writer.write(b"after")
        assert protocol.transport.held == b"beforeafter"
        protocol.transport.held = b""
        assert writer.write(b"at once")
        assert theirs.recv(100) == b"at once"


def test_nothing_is_written_while_it_is_held() -> None:
    """What waits in the session's queue comes first, although the transport would take more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        protocol = make_protocol()
        protocol.transport = Transport(ours)
        protocol.transport.held = b""
        writer = DirectWriter(protocol)
        writer.held = True
        assert not writer.write(b"too early")
        writer.held = False
        assert writer.write(b"now")
        assert theirs.recv(100) == b"now"
