"""What a test of a broker needs: a broker by name, and somebody who receives from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import anyio

from asgi_push import Publication
from asgi_push.brokers import Broker, Receiver
from asgi_push.brokers.inbox import InboxStore
from asgi_push.brokers.memory import MemoryBroker
from asgi_push.brokers.memory_inbox import MemoryInbox
from asgi_push.encoding import encode
from asgi_push.messages import JoinLeave
from tests.asgi import PATIENCE, Mailbox
from tests.brokers.postgres_server import PostgresServer

if TYPE_CHECKING:
    from asgi_push.brokers.postgres.broker import PostgresBroker

Factory = Callable[[], AbstractAsyncContextManager[Broker]]


@asynccontextmanager
async def memory() -> AsyncIterator[Broker]:
    yield MemoryBroker()


@asynccontextmanager
async def over_redis(url: str) -> AsyncIterator[Broker]:
    """One with names of its own."""
    from asgi_push.brokers.redis.broker import RedisBroker

    yield _made(partial(RedisBroker, url, f"test.{next(_numbers)}"))


@asynccontextmanager
async def over_local(name: str) -> AsyncIterator[Broker]:
    """One with names of its own, in the engine of a name."""
    from asgi_push.brokers.local.broker import LocalBroker

    yield _made(partial(LocalBroker, name, f"test.{next(_numbers)}"))


@asynccontextmanager
async def over_postgres(server: PostgresServer, *, empty: bool = True) -> AsyncIterator[PostgresBroker]:
    """One, with an empty schema."""
    from asgi_push.brokers.postgres.broker import PostgresBroker

    if empty:
        server.empty()
    yield _made(partial(PostgresBroker, server.url))


_numbers = count()

B = TypeVar("B", bound=Broker)

# How each broker that has a server was made.
_makers: WeakKeyDictionary[Broker, Callable[[], Broker]] = WeakKeyDictionary()


def _made(make: Callable[[], B]) -> B:
    broker = make()
    _makers[broker] = make
    return broker


@asynccontextmanager
async def beside(broker: Broker, process: Process) -> AsyncIterator[tuple[Broker, Process]]:
    """Another process with a broker over the same server; the same process where there is none."""
    make = _makers.get(broker)
    if make is None:
        yield broker, process
        return
    other, another = make(), Process()
    await other.start(another.receiver)
    await other.join("news", kept=True)
    yield other, another
    await other.stop()


def inbox_of(broker: Any) -> InboxStore:
    """The inboxes that go with a broker."""
    if isinstance(broker, MemoryBroker):
        return MemoryInbox(broker)
    from asgi_push.brokers.redis.broker import RedisBroker

    if isinstance(broker, RedisBroker):
        from asgi_push.brokers.redis.inbox import RedisInbox

        return RedisInbox(broker)
    from asgi_push.brokers.postgres.inbox import PostgresInbox

    return PostgresInbox(broker)


class Process:
    """What a process gets from its broker."""

    def __init__(self) -> None:
        self.publications, self.commands = Mailbox(), Mailbox()
        self.told_of_loss: list[str] = []
        self.told = Mailbox()
        self.reply: bytes | None = None  # to each command
        self.work: Callable[[bytes], Awaitable[None]] | None = None  # what each command does
        self.receiver = Receiver(self.deliver, self.apply_control, self.told_of_loss.append, self.room, self.told.put)

    def deliver(self, publication: Publication | JoinLeave) -> int:
        self.publications.put(publication)
        return 3

    async def apply_control(self, message: bytes) -> bytes | None:
        self.commands.put(message)
        if self.work is not None:
            await self.work(message)
        return self.reply

    async def room(self) -> None:
        """There is always some."""

    async def next(self) -> Any:
        """The next publication or notice."""
        with anyio.fail_after(PATIENCE):
            return await self.publications.get()

    async def next_told(self) -> Any:
        """What it is told next."""
        with anyio.fail_after(PATIENCE):
            return await self.told.get()

    async def next_command(self) -> Any:
        """The next command."""
        with anyio.fail_after(PATIENCE):
            return await self.commands.get()


def publication(channel: str, data: Any, **fields: Any) -> Publication:
    return Publication(channel, encode(data), **fields)


def seen(item: Publication) -> tuple[str, int, Any]:
    """What of a publication must be the same for all who get it."""
    return item.channel, item.offset, item.data
