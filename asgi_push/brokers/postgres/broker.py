"""The broker over PostgreSQL: history, position and delivery in one transaction."""

import asyncio
import secrets
from collections.abc import Mapping
from functools import partial

from ... import clock
from ...errors import BrokerError
from ...messages import History, JoinLeave, Publication, PublishResult, StreamPosition
from ...stream import Recovery
from ..coalescing import Recoveries
from ..contract import Receiver, StreamOptions
from ..credentials import BrokerCredentials
from ..deliveries import Deliveries, reach
from ..event_loop import check_loop
from ..inbox import InboxOptions
from ..replies import check_told
from ..stopping import end_tasks, run_to_completion
from . import schema
from .connection import Connection, ConnectionFactory
from .consumer import COMMANDS, Consumer
from .control import Control
from .cursor import Cursor
from .functions import REMEMBER, REMEMBER_INBOX
from .health import PostgresHealth
from .listener import Listener
from .names import stored
from .pipeline import PostgresPipeline
from .streams import Streams
from .upkeep import Upkeep

# How long a join waits to be notified, and a publish for its delivery here, in seconds.
_PATIENCE = 3.0
_ECHO_TIME = 5.0


class PostgresBroker:
    """Publications go through one database to the sessions of all processes that use it.

    Args:
        url: of the database.
        listen_url: of the same, past any PgBouncer; by default ``url``.
        streams: the histories of the namespaces, for what SQL publishes.
        credentials: names the user and the password at each connect.
        inbox: what one user's inbox holds, for what SQL sends into it.

    Raises:
        ValueError: a URL cannot be understood.
    """

    hears_all = False

    def __init__(
        self,
        url: str,
        listen_url: str = "",
        streams: Mapping[str, StreamOptions | None] | None = None,
        credentials: BrokerCredentials | None = None,
        inbox: InboxOptions | None = None,
    ) -> None:
        server = ConnectionFactory(url, credentials)
        self._histories = streams or {}
        self._inbox = inbox
        self._health = PostgresHealth(server.name)
        self.writing = PostgresPipeline("writing", server, self._health, self._prepare)
        self.reading = PostgresPipeline("reading", server, self._health)
        self._streams = Streams(self.writing, self.reading)
        self._reads = Recoveries()
        self._control = Control(self.writing, self.reading, secrets.token_hex(8))
        self._deliveries = Deliveries(self._control.carried_out)
        self._consumer = Consumer(self.reading, self._deliveries, self._control.lost)
        self._listener = Listener(
            ConnectionFactory(listen_url, credentials) if listen_url else server,
            self._control.id,
            self._health,
            self.reading,
            self,
        )
        self._listening = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._started = self._remembered = False

    @property
    def connected(self) -> bool:
        """Whether PostgreSQL answered when it was last spoken to, and notifies of everything."""
        return not self._health

    @property
    def problem(self) -> str:
        """What does not work now, in PostgreSQL's words where there are any."""
        return self._health.problem

    @property
    def outages(self) -> Mapping[str, int]:
        """How often something began not to work, by why."""
        return self._health.counts

    @property
    def process_id(self) -> str:
        """The name of this process among those that use the same database."""
        return self._control.id

    async def start(self, receiver: Receiver) -> None:
        """Begin; PostgreSQL need not be there yet.

        Raises:
            BrokerError: this is not asyncio, the only event loop that is supported; or PostgreSQL
                is there, and has no schema that can be used.
        """
        check_loop("postgres://")
        self._started = True
        try:
            await self.writing.start()
            await self.reading.start()
        except BaseException:
            await self.stop()
            raise
        self._control.on_told = receiver.on_told
        self._deliveries.start(receiver)
        upkeep = Upkeep(self.reading, self._consumer)
        runs = self._consumer.run, self._control.run, upkeep.poll, upkeep.touch, upkeep.sweep
        self._tasks = [asyncio.create_task(run()) for run in runs]

    async def _prepare(self, connection: Connection) -> None:
        await schema.ensure(connection)
        self._remembered = False  # it may be another database

    async def stop(self) -> None:
        """End; who is cancelled meanwhile leaves no connection and no task behind."""
        if self._started:
            self._started = False
            await run_to_completion(self._stop())

    async def _stop(self) -> None:
        await end_tasks(self._tasks)
        self._tasks = []
        await self._listener.stop()
        await self._deliveries.stop()
        await self._control.stop()
        self.silent()
        self._consumer.cursors.clear()
        await self.reading.stop()
        await self.writing.stop()

    # -- what is asked of it ---------------------------------------------------------------------

    async def publish(
        self,
        publication: Publication,
        stream: StreamOptions | None,
        idempotency_key: str | None = None,
    ) -> PublishResult:
        """Publish in one transaction; how many sessions it reaches, no process knows.

        What is heard here has been delivered here when this returns, unless nothing is heard now.
        """
        result, seq = await self._streams.publish(publication, stream, idempotency_key)
        if seq is not None:
            await self.wait_delivered(publication.channel, seq)
        return result

    async def wait_delivered(self, channel: str, seq: int) -> None:
        """Wait for the delivery here of what was published at a place, as ``publish`` does."""
        cursor = self._consumer.cursors.get(channel)
        if cursor is not None and cursor.begun:
            await self._came_back(cursor, seq)

    async def _came_back(self, cursor: Cursor, seq: int) -> None:
        if cursor.seq >= seq:
            came = self._deliveries.mark()
        elif self._listener.hears:
            came = asyncio.get_running_loop().create_future()
            cursor.waiting.append((seq, came))
        else:
            came = None
        if came is not None:
            over = asyncio.get_running_loop().call_later(_ECHO_TIME, reach, came)
            try:
                await came
            finally:
                over.cancel()

    async def publish_join_leave(self, notice: JoinLeave) -> None:
        """Publish a notice."""
        await self._streams.publish_join_leave(notice)

    async def command(self, message: bytes) -> list[bytes]:
        """Publish a command; return the replies when all processes have carried it out."""
        await self.join(COMMANDS, kept=True)
        return await self._control.give(message)

    async def tell(self, process_id: str, message: bytes) -> None:
        """Notify one process."""
        check_told(message)
        await self._control.tell(process_id, message)

    async def history(
        self, channel: str, limit: int, since: StreamPosition | None, reverse: bool
    ) -> History:
        """Read a stream; one that nobody published to yet begins here."""
        read = partial(self._streams.history, channel, limit, since, reverse)
        history = await self._reads.ask((channel, limit, since, reverse), read)
        self._consumer.learn(channel, history.position)
        return History([*history.publications], history.position)  # a list of the caller's own

    async def recover(self, channel: str, since: StreamPosition) -> Recovery:
        """Return what a client missed."""
        read = partial(self._streams.recover, channel, since)
        recovery = await self._reads.recover(channel, since, read)
        self._consumer.learn(channel, recovery.position)
        return recovery

    async def remove_history(self, channel: str) -> None:
        """Forget what a channel keeps."""
        await self._streams.forget(channel)

    async def join(self, channel: str, *, kept: bool) -> None:
        """Hear a channel, and commands."""
        since = clock.monotonic()
        names = {COMMANDS, stored(channel)}
        cursors = [self._consumer.wanted(name) for name in names]
        self._listener.start()
        try:
            if not self._listener.hears:
                await self._until_listening()
            await self._consumer.begin(names)
        except BaseException:
            for cursor in cursors:
                cursor.note_missed(since)
            raise
        await self._control.register()
        if not self._remembered:
            await self._remember()

    async def _remember(self) -> None:
        """Write down how long histories are, and what inboxes hold, for what SQL publishes."""
        self._remembered = True
        for name, stream in self._histories.items():
            size, ttl = (None, None) if stream is None else (stream.size, stream.ttl)
            await self.writing.call(REMEMBER, name, size, ttl)
        if (inbox := self._inbox) is not None:
            await self.writing.call(REMEMBER_INBOX, inbox.size, inbox.bytes, inbox.ttl)

    async def _until_listening(self) -> None:
        try:
            async with asyncio.timeout(0 if self._health.lasting else _PATIENCE):
                await self._listening.wait()
        except TimeoutError as error:
            raise BrokerError("PostgreSQL: could not listen in time") from error

    def join_now(self, channel: str) -> bool:
        """Join a channel that is heard, where commands are."""
        cursor = self._consumer.cursors.get(channel)
        if cursor is None or not (cursor.begun and self._listener.hears and self._remembered):
            return False
        cursor.unwanted_at = None
        return True

    async def begin(self, channel: str) -> StreamPosition:
        """Hear a channel, and return where it stands. One that nobody published to begins here."""
        await self.join(channel, kept=True)
        here = self._consumer.position(channel)
        return here or (await self.history(channel, 0, None, False)).position

    def begin_now(self, channel: str) -> StreamPosition | None:
        """Go on hearing a channel, and return where it stands; None if that is not known here."""
        return self._consumer.position(channel) if self.join_now(channel) else None

    def leave(self, channel: str) -> None:
        """Hear it no more, some time from now."""
        if (cursor := self._consumer.cursors.get(channel)) is not None:
            cursor.unwanted_at = clock.monotonic()

    # -- what the listener says ------------------------------------------------------------------

    def woken(self, channels: list[str]) -> None:
        """Something came in channels."""
        self._consumer.want(channels)

    def commanded(self, place: int) -> None:
        """A command came, at this place among all commands."""
        self._consumer.want_commands(place)

    def told(self, text: str) -> None:
        """Something came for this process alone."""
        self._control.told(text)

    def listening(self) -> None:
        """All that comes from now on is notified; what came before may have been missed."""
        self._listening.set()
        self._consumer.want_all()

    def silent(self) -> None:
        """Nothing is notified any more, for a while."""
        self._listening.clear()
        for cursor in self._consumer.cursors.values():
            cursor.in_doubt = True
            for came in cursor.let_go():
                reach(came)
