"""Direct writes as clients see them: every size, compressed or not, under TLS, to slow and to fast readers."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from tests.conformance.client import Client, dial
from tests.conformance.control import Desk
from tests.servers import Serve, Server, find_program

# The borders of the frame format, and a message of the size that a queue may hold.
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 1024 * 1024]

# What asyncio lets a transport hold, and what a direct writer adds at most.
HIGH_WATER = 64 * 1024

both_ways = pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])


def check_sizes(desk: Desk, *, deflate: bool = False) -> None:
    """Push text and bytes of each size, and see them come."""
    with desk.connect("ann", deflate=deflate) as client:
        assert desk.is_direct("ann")
        for size in SIZES:
            text = ("\u00e4\u20ac\U0001f600" * (size // 9 + 1)).encode()[:size].decode(errors="ignore")
            for data in (text.ljust(size - len(text.encode()) + len(text), "."), bytes(range(256)) * (size // 256 + 1)):
                data = data if isinstance(data, str) else data[:size]
                desk.push("ann", data)
                assert client.receive() == data
        assert client.compressed == (2 * len([size for size in SIZES if size > 512]) if deflate else 0)


@both_ways
def test_messages_of_every_size(server: Server, deflate: bool) -> None:
    """Text and bytes at each border of the frame format; long ones are compressed where that was agreed on."""
    check_sizes(Desk(server), deflate=deflate)


@both_ways
def test_nothing_overtakes_what_waits(server: Server, deflate: bool) -> None:
    """A client that stops reading for a while gets all in order, of which some went through its queue."""
    desk = Desk(server, "roomy")
    with desk.connect("slow", deflate=deflate, receive_buffer=4096) as client:

        def publish() -> list[str]:
            return list(desk.ask("flood", user="slow", times=50, size=2000))

        def receive(count: int) -> list[str]:
            return [str(message).split()[0] for message in client.receive_all(count)]

        for _ in range(2):
            published = publish()  # directly
            published += desk.jam("slow")
            published += publish()  # into the queue
            received = receive(len(published) // 2)
            published += publish()  # while the queue gets empty
            received += receive(len(published) - len(received))
            assert received == published
        assert client.plain > 0
        assert (client.compressed > 0) == deflate


@pytest.mark.parametrize(("path", "direct"), [("main", True), ("undirected", False), ("wrapped", False)])
def test_where_frames_are_written_directly(server: Server, path: str, direct: bool) -> None:
    """Nowhere else than where they are wanted, and where no middleware stands between."""
    desk = Desk(server, "main" if path == "wrapped" else path)
    with Client(dial(server.port), f"/{path}/bob") as client:
        desk.ask("until_here", user="bob")
        assert desk.is_direct("bob") == direct
        desk.push("bob", "loud")
        assert client.receive() == ("LOUD" if path == "wrapped" else "loud")


def test_on_wsproto_nothing_is(serve: Serve) -> None:
    """Only uvicorn's own protocol is known."""
    with serve("tests.conformance.app:app", kind="uvicorn-wsproto") as server:
        desk = Desk(server)
        with desk.connect("ann") as client:
            assert not desk.is_direct("ann")
            desk.push("ann", "there")
            assert client.receive() == "there"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_messages_of_every_size_under_tls(serve: Serve, tmp_path: Path, loop: str) -> None:
    """Nothing goes around the encryption."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
               "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run([find_program("openssl"), *command], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))

    def dial_tls(port: int, *, receive_buffer: int = 0) -> ssl.SSLSocket:
        return context.wrap_socket(dial(port, receive_buffer=receive_buffer), server_hostname="localhost")

    # What it is asked over HTTP it is asked under TLS too; whether it answers tells that it listens.
    args = ["--loop", loop, "--ssl-keyfile", str(key), "--ssl-certfile", str(certificate)]
    with serve("tests.conformance.app:app", args=args) as server:
        check_sizes(Desk(server, dial=dial_tls))


# -- beside what an application does itself -------------------------------------------------------------------------


def run(server: Server, script: str, *, receive_buffer: int = 0, deflate: bool = False) -> Client:
    return Client(dial(server.port, receive_buffer=receive_buffer), f"/direct/{script}", deflate=deflate)


def result(server: Server, script: str) -> object:
    return Desk(server).ask("result", script=script)


def test_nothing_is_written_after_a_close(server: Server) -> None:
    """Neither before the client has answered the application's close nor after that."""
    with run(server, "close_and_write") as client:
        messages, closed = client.receive_to_close()
        assert (messages, closed.code) == (["before"], 4000)
        client.send_close(4000)
        client.read_to_end()
    assert result(server, "close_and_write") == [False] * 3


def test_nothing_is_written_after_a_client_has_closed(server: Server) -> None:
    """The answer to its close frame is the last that it gets."""
    with run(server, "write_when_closed") as client:
        client.send_close(1000)
        assert client.receive_close().code == 1000
        client.read_to_end()
    assert result(server, "write_when_closed") == [False] * 3


def test_what_is_written_to_who_is_gone_reaches_nobody_else(server: Server) -> None:
    """Also when the next client's socket has the number that the last one's had."""
    for _ in range(3):
        with run(server, "write_to_who_is_gone") as client:
            client.abort()
    with run(server, "come_after") as client:
        client.send("here")
        assert client.receive() == "for you"
    assert result(server, "come_after") == [False] * 3


def test_a_transport_never_holds_more_than_its_bound(server: Server) -> None:
    """A peer that does not read gets frames only as long as they fit; it gets each that was taken when it reads."""
    with run(server, "fill", receive_buffer=4096) as client:
        client.receive()
        taken, most = result(server, "fill")  # type: ignore[misc]
        assert 0 < most <= HIGH_WATER
        messages = [str(message).split()[0] for message in client.receive_all(taken - 1)]
        assert messages == [str(number) for number in range(1, taken)]
        assert client.receive() == "the end"


@both_ways
def test_nothing_overtakes(server: Server, deflate: bool) -> None:
    """Messages that are sent and messages that are written come in one order, compressed ones among others too."""
    with run(server, "take_turns", receive_buffer=4096, deflate=deflate) as client:
        messages = []
        while (message := client.receive()) != "the end":
            messages.append(str(message).rstrip("."))
        assert messages == [str(number) for number in range(4000)]
        written = result(server, "take_turns")
        assert isinstance(written, int)
        assert 0 < written < 4000
        assert client.compressed == (4001 - written if deflate else 0)
