"""What this process hears from Redis: publications of its sessions' channels, and commands."""

import asyncio
import secrets

from ...messages import JoinLeave, Publication, PublishResult, StreamPosition
from .. import envelope
from ..contract import OnTold, Receiver, StreamOptions
from ..deliveries import ControlMessage, Deliveries, Lost
from ..health import ConnectionHealth
from ..replies import check_told
from ..stopping import end_tasks
from ..waiting import all_done
from .barriers import BARRIER, Barriers
from .catch_up import CatchUp, Missing
from .connection_factory import ConnectionFactory
from .control import COMMANDS, Control
from .cursor import Cursor
from .echoes import Echoes, let_go, wait_in_time
from .joining import Joining
from .keys import Keys
from .loopback import Loopback
from .pipeline import RedisPipeline
from .position_checks import Checks
from .streams import Streams
from .subscriber import Subscriber

# How often every channel's position is compared with the one in Redis, in seconds. That is how late
# a lost message is found if none comes after it.
_CHECK_INTERVAL = 25.0

# How soon it is compared again when Redis did not answer, in seconds.
_CHECK_AGAIN = 0.5

# How long a command waits for publications that are missing before it, in seconds.
_COMMAND_WAITS = 3.0


class Consumer:
    """Delivers what is published in one Redis, once and in order, even if connections break."""

    def __init__(
        self,
        factory: ConnectionFactory,
        health: ConnectionHealth,
        keys: Keys,
        pipeline: RedisPipeline,
        streams: Streams,
        loopback: Loopback,
    ) -> None:
        self._keys = keys
        self._streams = streams
        self.id = secrets.token_urlsafe(6)
        # The name to which others publish for this process alone.
        self._own = keys.process(self.id)
        self._control = Control(pipeline, keys, streams, self.id)
        self._deliveries = Deliveries(self._control.carried_out)
        self._echoes = Echoes(self.id, self._deliveries)
        self._subscriber = Subscriber(
            factory,
            health,
            loopback,
            self._on_message,
            self._on_subscribed,
            self._on_unsubscribed,
            self._on_disconnected,
            self._on_subscribed,  # where something could not be taken: so that it is looked for
        )
        self._cursors: dict[str, Cursor] = {}
        self._always = self._own, keys.published(COMMANDS)  # heard as soon as anything is
        self._missing = Missing()
        self._barriers = Barriers(streams, self._own, _CHECK_INTERVAL)
        self._checks = Checks(self._check, _CHECK_AGAIN)
        self._joining = Joining(self._cursors, keys, self._subscriber, streams, self._checks.want)
        self.join_now = self._joining.join_now
        self.inbox_is_empty = self._joining.inbox_is_empty
        self.begin_now = self._joining.begin_now
        self.position = self._joining.position
        self._catch_up = CatchUp(streams, self._deliveries, self._put, self._lost)
        self._on_told: OnTold = _not_started
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, receiver: Receiver) -> None:
        """Begin."""
        self._on_told = receiver.on_told
        self._deliveries.start(receiver)
        loops = (self._checks.run(), self._check_all(), self._control.run())
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """End; nothing is delivered after this."""
        await end_tasks(self._tasks)
        self._tasks = []
        await self._subscriber.stop()
        await self._deliveries.stop()
        await self._control.stop()
        self._on_disconnected()
        self._cursors.clear()

    # -- what is asked of it ----------------------------------------------------------------------

    async def join(self, channel: str, *, kept: bool, begins: bool = False) -> None:
        """Hear a channel, and commands. Losses on the way are found if it is ``kept``."""
        name = self._keys.published(channel)
        join = self._joining.join(channel, name, kept=kept, begins=begins)
        if self._joining.is_ready(COMMANDS):
            await join
        else:
            await all_done([join, self._hear_commands()])
        self._joining.note_ready(channel, name, kept=kept)

    async def _hear_commands(self) -> None:
        await self._joining.join(COMMANDS, *self._always)
        await self._control.register()
        self._joining.note_ready(COMMANDS, self._always[-1], kept=True)

    def learn(self, channel: str, position: StreamPosition) -> None:
        """Take over a position that a session was told, if the stream had not begun before."""
        cursor = self._cursors.get(channel)
        if cursor is not None and cursor.position is not None and not cursor.position.epoch:
            if position.offset:
                self._checks.want(channel)
            else:
                cursor.position = position

    def leave(self, channel: str) -> None:
        """Stop hearing a channel, some time from now."""
        self._subscriber.discard(self._keys.published(channel))

    async def command(self, message: bytes) -> list[bytes]:
        """Publish a command; return the replies when every process has carried it out."""
        await self.join(COMMANDS, kept=True)
        return await self._control.give(message)

    async def tell(self, process_id: str, message: bytes) -> None:
        """Publish what is for one process alone."""
        check_told(message)
        if process_id == self.id:
            self._on_told(message)
        else:
            await self._control.publish(process_id, b"told:" + message)

    async def publish(
        self, publication: Publication, stream: StreamOptions | None, idempotency_key: str | None
    ) -> PublishResult:
        """Publish; if the channel is heard here, return when it has been delivered here."""
        if stream is None:
            return await self._publish_transient(publication, idempotency_key)
        result, new = await self._streams.publish(publication, stream, idempotency_key)
        if new and result.position is not None:
            await self.wait_delivered(publication.channel, result.position)
        return result

    async def wait_delivered(self, channel: str, position: StreamPosition) -> None:
        """Wait until what was published has been delivered here, if the channel is heard here."""
        if channel in self._cursors:
            heard = self._subscriber.hears(self._keys.published(channel))
            await self._echoes.wait_delivered(self._cursors[channel], position, heard=heard)

    async def _publish_transient(
        self, publication: Publication, idempotency_key: str | None
    ) -> PublishResult:
        name = self._keys.published(publication.channel)
        with self._echoes.expect(publication.channel) as (mark, came):
            if not self._subscriber.hears(name):  # and what is heard only now may begin after this
                came.set_result(None)
            result, new = await self._streams.publish_transient(publication, mark, idempotency_key)
            if new and self._subscriber.hears(name):
                await wait_in_time(came)
        return result

    # -- what is heard ----------------------------------------------------------------------------

    async def _on_message(self, name: bytes, message: bytes) -> None:
        if name == self._own:
            self._on_process_message(*message.partition(b":"))
            return
        channel = self._keys.channel(name)
        if channel == COMMANDS:
            await self._missing.wait(_COMMAND_WAITS)
        item = envelope.parse(channel, message)
        if item is None:
            return
        cursor = self._cursors.get(channel) if item.offset else None
        if cursor is None or not isinstance(item, Publication):
            self._put(None, item)
            self._echoes.came_back(message)
        elif cursor.take(item):
            self._put(cursor, item)
        elif cursor.catching_up:
            self._missing.add(channel)
            self._checks.want(channel)
            self._barriers.cancel(channel)
        if self._deliveries.full:
            await self._deliveries.wait_capacity()

    def _put(self, cursor: Cursor | None, item: Publication | JoinLeave | None) -> None:
        """Queue an item for delivery, and let go who waits for the position it has reached."""
        if isinstance(item, Publication) and item.channel == COMMANDS:
            self._deliveries.put(ControlMessage(*item.payload.data.split(b"\n", 1)))
        elif item is not None:
            self._deliveries.put(item)
        if cursor is not None and cursor.waiting:
            self._echoes.passed(cursor)

    def _lost(self, channel: str) -> None:
        if channel == COMMANDS:
            self._control.lost()
        else:
            self._deliveries.put(Lost(channel))

    def _on_process_message(self, what: bytes, _: bytes, rest: bytes) -> None:
        if what == BARRIER:
            self._barriers.on_barrier(rest)
        elif what == b"done":
            self._control.on_done(rest)
        elif what == b"told":
            self._on_told(rest)

    def _on_subscribed(self, name: bytes) -> None:
        if name == self._own:
            # Messages from before are not heard any more.
            for channel in self._barriers.cancel_all():
                self._checks.want(channel)
        else:
            self._joining.on_subscribed(self._keys.channel(name))

    def _on_unsubscribed(self, name: bytes) -> None:
        channel = self._keys.channel(name)
        self._joining.on_unsubscribed(channel)
        if (cursor := self._cursors.pop(channel, None)) is not None:
            cursor.gone = True
            let_go(cursor)
        self._echoes.give_up(channel)
        self._missing.discard(channel)

    def _on_disconnected(self) -> None:
        """Let go all who wait: what was on its way does not come on this connection any more."""
        self._joining.on_disconnected()
        for cursor in self._cursors.values():
            let_go(cursor)
            cursor.inbox_empty_at = None
            cursor.in_doubt = True
        self._echoes.give_up()
        self._barriers.cancel_all()

    # -- what was lost on the way -----------------------------------------------------------------

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            self.check_all()

    def check_all(self) -> None:
        """Compare every channel's position with the one in Redis, soon."""
        for channel in self._cursors:
            self._checks.want(channel)

    async def _check(self, channel: str) -> None:
        """Compare a channel's position here with the one in Redis, and deliver what is missing.

        What has not come may still be on its way, behind much else. It is lost only if something
        comes that was published later.
        """
        cursor = self._cursors.get(channel)
        if cursor is None or not await self._joining.find_place(channel, cursor):
            return
        top: StreamPosition | None = None
        losses = self._joining.losses
        if not cursor.catching_up:
            top, empty = await self._streams.look(channel, cursor.position)
            cursor.begin(top)
            cursor.inbox_empty_at = top if empty and losses == self._joining.losses else None
            if cursor.behind(top):
                top = await self._barriers.wait(channel, cursor.position)
            if top is None:
                return
            if not cursor.behind(top):
                cursor.in_doubt &= losses != self._joining.losses
                return
        if channel == COMMANDS:  # it comes after what was published before
            await self._checks.others(channel, _COMMAND_WAITS)
        if self._cursors.get(channel) is not cursor:
            return
        cursor.hold()
        self._missing.add(channel)
        try:
            if await self._catch_up.run(channel, cursor, top):
                self._checks.want(channel)
            elif losses == self._joining.losses:
                cursor.in_doubt = False
        finally:
            if not cursor.catching_up:
                self._missing.discard(channel)


def _not_started(message: bytes) -> None:
    """Nothing is for a process that has not said that it is there."""
