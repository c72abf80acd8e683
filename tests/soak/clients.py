"""What clients of all kinds have in common: they come, stay for a while, are cut off, and come back."""

from __future__ import annotations

import asyncio
import random
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.servers import HOST
from tests.soak.ledger import Ledger

USERS = 5
ROOMS = 3
CHANNELS = ["*", *(f"#u{number}" for number in range(USERS)), *(f"room:{number}" for number in range(ROOMS))]

_STABLE = 4  # one of so many is never cut off on purpose
_STAY = 12.0  # seconds on average
_SLOW = 0.004  # how likely a client sleeps before it takes the next message
_NAP = 6.0  # seconds at most; a heartbeat waits for 8

# Closes after which a client comes back, and that may happen here.
_CLOSES = frozenset({1000, 1005, 1006, 1011, 1012, 1013, 3001, 3004, 3008, 3010, 3012})


@dataclass
class World:
    """Where clients live."""

    ledger: Ledger
    ports: Callable[[], list[int]]  # of the servers
    seed: str
    calm: bool = False  # nobody is cut off or sleeps now
    closes: dict[str, int] = field(default_factory=dict)

    def closed(self, who: str, how: str) -> None:
        self.closes[how] = self.closes.get(how, 0) + 1


class Client(ABC):
    """One client, which keeps what it knows from one connection to the next."""

    kind = ""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.ledger = world.ledger
        self.name = f"{self.kind} {number}"
        self.random = random.Random(f"{world.seed} {self.name}")
        self.user = f"u{number % USERS}"
        self.room = f"room:{number % ROOMS}"
        self.channels = ["*", f"#{self.user}", self.room]
        self._stable = number % _STABLE == 0

    async def run(self) -> None:
        """Live until it is cancelled."""
        while True:
            port = self.random.choice(self.world.ports())
            with suppress(OSError):
                if not self._stable and not self.world.calm and self.random.random() < 0.1:
                    await self._knock(port)
                await self.connection(port)
            await asyncio.sleep(self.random.uniform(0.05, 0.5))

    @abstractmethod
    async def connection(self, port: int) -> None:
        """Connect, and take what comes until the connection ends."""

    @abstractmethod
    def behind(self) -> Iterable[str]:
        """Return what it should have and has not."""

    async def _knock(self, port: int) -> None:
        """Go away in the middle of the handshake."""
        request = f"GET {self.path()} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(request.encode()[: self.random.randrange(len(request))])
        await asyncio.sleep(self.random.uniform(0, 0.01))
        writer.transport.abort()
        self.ledger.counts["cut off in the handshake"] += 1

    @abstractmethod
    def path(self) -> str:
        """Return the address on the server."""

    def query(self, **more: str) -> str:
        return urlencode({"user": self.user, **more})

    def cut_later(self, cut: Callable[[], None]) -> asyncio.TimerHandle:
        """Have the connection cut after a while: often very soon, and sometimes never."""
        soon = self.random.random() < 0.3
        after = self.random.uniform(0, 0.05) if soon else self.random.expovariate(1 / _STAY)

        def unless_calm() -> None:
            if not self.world.calm and not self._stable:
                self.ledger.counts["cut off"] += 1
                cut()

        return asyncio.get_running_loop().call_later(after, unless_calm)

    async def nap(self) -> None:
        """Be slow, now and then."""
        if not self._stable and not self.world.calm and self.random.random() < _SLOW:
            self.ledger.counts["naps"] += 1
            await asyncio.sleep(self.random.uniform(0.2, _NAP))


class WebSocketClient(Client):
    """A client over a WebSocket."""

    @abstractmethod
    async def talk(self, websocket: ClientConnection) -> None:
        """Say what there is to say, and take what comes."""

    async def connection(self, port: int) -> None:
        compression = self.random.choice([None, "deflate"])
        try:
            websocket = await connect(
                sock=await self._socket(port),
                uri=f"ws://{HOST}:{port}{self.path()}",
                compression=compression,
                ping_interval=None,
                open_timeout=60,
                close_timeout=5,
                max_size=None,
            )
        except InvalidStatus as refusal:
            self.refused(refusal.response.status_code)
            return
        except InvalidHandshake:
            return
        self.ledger.counts["connections"] += 1
        cutter = self.cut_later(lambda: self._cut(websocket))
        try:
            with suppress(ConnectionClosed):
                await self.talk(websocket)
        finally:
            cutter.cancel()
            websocket.transport.abort()
        self._note(websocket)

    async def _socket(self, port: int) -> socket.socket:
        """Connect; to some of the clients little fits into the network, so that a nap makes the server wait."""
        sock = socket.socket()
        sock.setblocking(False)
        if self.random.random() < 0.4:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def _cut(self, websocket: ClientConnection) -> None:
        if self.random.random() < 0.7:
            websocket.transport.abort()
        else:
            self._closing = asyncio.create_task(websocket.close())

    def _note(self, websocket: ClientConnection) -> None:
        code = websocket.close_code or 1006
        self.world.closed(self.name, f"{code} {websocket.close_reason or ''}".strip())
        if code not in _CLOSES:
            self.ledger.fault(self.name, f"closed with {code} {websocket.close_reason}")

    def refused(self, status: int) -> None:
        """A server may be too busy, or without its broker; never may it find fault with a client."""
        self.world.closed(self.name, f"refused with {status}")
        if status < 500:
            self.ledger.fault(self.name, f"refused with {status}")


def behind(clients: Iterable[Client]) -> Iterator[str]:
    """Yield what any of them has not got."""
    for client in clients:
        yield from client.behind()
