"""How channels come to be heard, and from which place on."""

from collections.abc import Callable

from ... import clock
from ...messages import StreamPosition
from .cursor import Cursor
from .keys import Keys
from .streams import Streams
from .subscriber import Subscriber


class Joining:
    """Subscribes to channels, and then asks once where their streams stand.

    Whatever is published from then on comes. Who joins a channel finds out its place; if that
    fails, ``check`` has to, and finds the place where the stream stood when that was tried first.
    """

    def __init__(
        self,
        cursors: dict[str, Cursor],
        keys: Keys,
        subscriber: Subscriber,
        streams: Streams,
        check: Callable[[str], None],
    ) -> None:
        self._cursors = cursors
        self._keys = keys
        self._subscriber = subscriber
        self._streams = streams
        self._check = check
        # The names of channels that are heard, as commands are.
        self._ready: dict[str, bytes] = {}
        self.losses = 0  # how often the connection was lost that all is heard on

    async def join(
        self, channel: str, *names: bytes, kept: bool = True, begins: bool = False
    ) -> None:
        """Hear names, and begin at the place where the stream of a channel stands, if it is kept.

        With ``begins`` one that is nowhere yet begins now.

        Raises:
            BrokerError: that could not be had in time; the names stay wanted, and what is
                published from now on is read once it can be.
        """
        if not kept:
            await self._subscriber.add(*names)
            return
        since = clock.monotonic()
        cursor = self._cursors.get(channel)
        if cursor is None:
            cursor = self._cursors[channel] = Cursor()
        cursor.joining += 1
        try:
            await self._subscriber.add(*names)
            if cursor.position is None:
                await self._begin(channel, cursor, begins=begins)
        except BaseException:
            cursor.note_missed(since)
            raise
        finally:
            cursor.joining -= 1
            if cursor.position is None:
                self._failed(channel, cursor)

    async def _begin(self, channel: str, cursor: Cursor, *, begins: bool) -> None:
        losses = self.losses
        top, empty = await self._streams.look(channel, None, begins=begins)
        if cursor.missed_since is not None:  # somebody has joined it before, in vain
            self._check(channel)
            return
        cursor.begin(top)
        if losses != self.losses:  # something may have been published while nothing was heard
            self._check(channel)
        elif empty:
            cursor.inbox_empty_at = top

    async def find_place(self, channel: str, cursor: Cursor) -> bool:
        """Begin at the place of the time when somebody joined a channel in vain, if anybody did.

        Returns False if somebody joins it just now: that is a time from which on all is wanted.
        """
        if cursor.missed_since is not None:
            cursor.begin(await self._streams.place_at(channel, cursor.missed_since))
        return cursor.position is not None or not cursor.joining

    def _failed(self, channel: str, cursor: Cursor) -> None:
        """Have it found out where a channel stands, unless somebody else who joins it does that."""
        if not cursor.joining and self._subscriber.hears(self._keys.published(channel)):
            self._check(channel)

    def note_ready(self, channel: str, name: bytes, *, kept: bool) -> None:
        """Note that a channel was joined: who joins it next, while it is heard, need not wait.

        If it is kept, it has to be known where it stands.
        """
        if self._subscriber.hears(name) and (not kept or self.begun(channel)):
            self._ready[channel] = name

    def is_ready(self, channel: str) -> bool:
        """Whether a channel was joined, and is heard since then."""
        return channel in self._ready

    def join_now(self, channel: str) -> bool:
        """Go on hearing a channel; return False if it is not heard.

        Nearly always it is: somebody is in it, or was a moment ago.
        """
        name = self._ready.get(channel)
        if name is None:
            return False
        self._subscriber.keep(name)
        return True

    def begin_now(self, channel: str) -> StreamPosition | None:
        """Go on hearing a channel, and return where it stands; None if that is not known here."""
        return self.position(channel) if self.join_now(channel) else None

    def position(self, channel: str) -> StreamPosition | None:
        """Return where a channel that is heard stands here, if that is not in doubt."""
        cursor = self._cursors.get(channel)
        return cursor.told if channel in self._ready and cursor is not None else None

    def inbox_is_empty(self, channel: str, up_to: StreamPosition | None) -> bool:
        """Whether nothing has come since an inbox was seen to be empty; see ``Cursor``."""
        cursor = self._cursors.get(channel)
        return channel in self._ready and cursor is not None and cursor.inbox_is_empty(up_to)

    def begun(self, channel: str) -> bool:
        """Whether it is known where a channel stands here."""
        cursor = self._cursors.get(channel)
        return cursor is not None and cursor.position is not None

    def on_subscribed(self, channel: str) -> None:
        """Have it found out where a channel stands, unless somebody who joins it is about to."""
        cursor = self._cursors.get(channel)
        if cursor is not None and (cursor.position is not None or not cursor.joining):
            self._check(channel)

    def on_unsubscribed(self, channel: str) -> None:
        """Note that a channel is not heard any more."""
        self._ready.pop(channel, None)

    def on_disconnected(self) -> None:
        """Note that nothing is heard for a while."""
        self.losses += 1
        self._ready.clear()
