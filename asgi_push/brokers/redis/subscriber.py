"""What this process hears of what is published in Redis, on one connection."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio.connection import AbstractConnection

from ... import clock
from ...errors import BrokerError
from ...logs import RateLimit
from ..backoff import backoffs
from ..health import ConnectionHealth, Deaf
from ..stopping import end_tasks
from ..waiting import Alarm, Patience
from .connection import CONNECT_TIME, packed, parsed_answers
from .connection_factory import ConnectionFactory
from .loopback import Loopback

# A connection on which nothing came for so many seconds is asked for a sign of life, and given up
# after as many more.
_SILENCE = 4.0

# How long to wait for a subscription, in seconds.
_PATIENCE = 3.0

# Names are unsubscribed from so many seconds after they were last wanted: a page that is reloaded
# wants its own again.
_LINGER = 5.0

# How long names gather after a command has been sent, in seconds, and how much longer after one for
# many. Many who come at once share a command and all that follows it. One who comes alone waits for
# nothing.
_GATHER = 0.005
_FOR_MANY = 3

# Names in one command, so that Redis is not held by it.
_MAX_TOGETHER = 1000

# At most one line in so many seconds, of all that could not be taken.
_QUIET = 10.0

OnMessage = Callable[[bytes, bytes], Awaitable[None]]
OnName = Callable[[bytes], None]


class Subscriber:
    """Keeps one connection subscribed to the wanted names, and makes a lost one anew."""

    def __init__(
        self,
        factory: ConnectionFactory,
        health: ConnectionHealth,
        loopback: Loopback,
        on_message: OnMessage,
        on_subscribed: OnName,
        on_unsubscribed: OnName,
        on_disconnected: Callable[[], None],
        on_failure: OnName,
    ) -> None:
        self._factory = factory
        self._health = health
        self._loopback = loopback
        self._on_message = on_message
        # Told of a name that is heard now, for the first time or again.
        self._on_subscribed = on_subscribed
        self._on_unsubscribed = on_unsubscribed  # told of one that will not be heard any more
        self._on_disconnected = on_disconnected  # told that nothing is heard any more, for a while
        # Told of a name of which something came that could not be taken.
        self._on_failure = on_failure
        self._quiet = RateLimit(_QUIET)
        # Who waits for each name; None: it is subscribed to.
        self._wanted: dict[bytes, list[asyncio.Future[None]] | None] = {}
        self._asked: list[bytes] = []  # names to subscribe to
        self._unwanted: dict[bytes, float] = {}  # since when
        self._patience = Patience(_late)
        self._work = asyncio.Event()
        self._alarm = Alarm(self._work)
        self._came = 0  # how much has come
        self._task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            await end_tasks([self._task])
            self._task = None
        self._alarm.stop()
        self._patience.stop()

    async def add(self, *names: bytes) -> None:
        """Hear these names, and return when all that is published from then on will be heard.

        Raises:
            BrokerError: that could not be had in time; it stays wanted.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        for name in names:
            self._want(name)
        for name in names:
            waiting = self._wanted.get(name, [])
            if waiting is None:
                continue
            if self._health.lasting:
                raise _late()
            heard = self._patience.future(_PATIENCE)
            waiting.append(heard)
            try:
                await heard
            except BaseException:
                waiting.remove(heard)
                raise

    def _want(self, name: bytes) -> None:
        self._unwanted.pop(name, None)
        if name not in self._wanted:
            if not self._asked:
                self._work.set()
            self._wanted[name] = []
            self._asked.append(name)

    def keep(self, name: bytes) -> None:
        """Go on hearing a name."""
        self._unwanted.pop(name, None)

    def hears(self, name: bytes) -> bool:
        """Whether all that is published to a name now will come."""
        return self._wanted.get(name, self) is None

    def discard(self, name: bytes) -> None:
        """Hear a name no more, some time from now."""
        if name in self._wanted:
            self._unwanted[name] = clock.monotonic()

    async def _run(self) -> None:
        waits = backoffs()
        while True:
            connection = self._factory.for_subscriptions()
            try:
                async with asyncio.timeout(CONNECT_TIME):
                    await connection.connect()  # type: ignore[no-untyped-call]
                waits = backoffs()
                await self._serve(connection)
            except Deaf as error:
                self._health.began("what is published", error)
            # Whatever redis-py raises: the connection is lost.
            except Exception as error:  # noqa: BLE001
                self._health.began("subscriptions", error)
            finally:
                self._hear_nothing()
                await connection.disconnect(nowait=True)
            self._forget()  # there is nothing to unsubscribe from
            await asyncio.sleep(next(waits))

    def _hear_nothing(self) -> None:
        """The connection is lost: whoever joins from now on waits until it is heard again."""
        for name, waiting in self._wanted.items():
            if waiting is None:
                self._wanted[name] = []
        self._on_disconnected()

    async def _serve(self, connection: AbstractConnection) -> None:
        self._asked = [self._loopback.name, *self._wanted]
        self._work.set()
        helpers = [
            asyncio.create_task(self._write(connection)),
            asyncio.create_task(self._watch(connection, self._loopback.watch())),
            asyncio.create_task(self._watch(connection, self._ask_for_signs(connection))),
        ]
        try:
            await self._read(connection, helpers)
        except Exception as error:  # noqa: BLE001  # as in _run
            raise _failure(helpers) or error from None
        finally:
            await end_tasks(helpers)

    async def _watch(self, connection: AbstractConnection, watching: Awaitable[None]) -> None:
        try:
            await watching
        except (Deaf, TimeoutError):
            # Ends the reading, once what was read is delivered.
            await connection.disconnect(nowait=True)
            raise

    async def _ask_for_signs(self, connection: AbstractConnection) -> None:
        """Ask for a sign of life where nothing has come for long.

        One task does it for all that comes: a time limit of each reading would cost more than the
        reading.

        Raises:
            TimeoutError: none has come.
        """
        while True:
            came = self._came
            if not await self._silent_since(came):
                continue
            await _send(connection, "PING")
            if await self._silent_since(came):
                raise TimeoutError("no sign of life")

    async def _silent_since(self, came: int) -> bool:
        """Return, some time later, whether nothing has come though it would have been read."""
        await asyncio.sleep(_SILENCE)
        return self._came == came and self._loopback.reading

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            self._alarm.set_within(_LINGER / 2)
            await self._work.wait()
            self._work.clear()
            asked, self._asked = self._asked, []
            await self._tell(connection, "SUBSCRIBE", asked)
            await self._tell(connection, "UNSUBSCRIBE", self._forget())
            await asyncio.sleep(_GATHER * max(1, min(len(asked), _FOR_MANY)))

    async def _tell(self, connection: AbstractConnection, verb: str, names: list[bytes]) -> None:
        for start in range(0, len(names), _MAX_TOGETHER):
            await _send(connection, verb, *names[start : start + _MAX_TOGETHER])

    def _forget(self) -> list[bytes]:
        """Return the names that nobody has wanted for long."""
        before = clock.monotonic() - _LINGER
        names = [name for name, since in self._unwanted.items() if since <= before]
        for name in names:
            del self._unwanted[name], self._wanted[name]
            self._on_unsubscribed(name)
        return names

    async def _read(
        self, connection: AbstractConnection, helpers: Sequence[asyncio.Task[None]]
    ) -> None:
        ended = list[asyncio.Task[None]]()
        for task in helpers:
            task.add_done_callback(ended.append)
        next_parsed = parsed_answers(connection)
        while not ended:
            self._loopback.reading = True
            answer = await connection.read_response(disable_decoding=True)
            self._loopback.reading = False
            self._came += 1
            self._health.ended("subscriptions")
            while answer is not None:
                match answer:
                    case [b"message", name, message]:
                        await self._take(name, message)
                    case [b"subscribe", name, _] if name in self._wanted:
                        self._heard(name)
                    case [b"unsubscribe", name, _] if self._wanted.get(name, name) is None:
                        raise ConnectionError("Redis dropped a subscription that was not given up")
                answer = next_parsed()
        raise _failure(helpers) or ConnectionError("nothing can be asked for any more")

    async def _take(self, name: bytes, message: bytes) -> None:
        if name == self._loopback.name:
            self._loopback.on_sign(message)
            return
        self._loopback.came += 1
        try:
            await self._on_message(name, message)
        # One item must not cost the others, or the connection.
        except Exception:  # noqa: BLE001
            self._say_failed()
            self._on_failure(name)

    def _heard(self, name: bytes) -> None:
        waiting = self._wanted[name]
        self._wanted[name] = None
        for heard in waiting or ():
            if not heard.done():
                heard.set_result(None)
        self._on_subscribed(name)

    def _say_failed(self) -> None:
        message = "something that came from Redis could not be taken"
        self._quiet.log(logging.ERROR, clock.monotonic(), message, exc_info=True)


async def _send(connection: AbstractConnection, *command: bytes | str) -> None:
    await connection.send_packed_command(packed(connection, [command]), check_health=False)


def _late() -> BrokerError:
    return BrokerError("Redis: could not subscribe in time")


def _failure(tasks: Sequence[asyncio.Task[None]]) -> BaseException | None:
    """Return why the first of them ended that has."""
    return next((task.exception() for task in tasks if task.done() and not task.cancelled()), None)
