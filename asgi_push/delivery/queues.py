"""The send queues of sessions that cannot be written to at once."""

from ..connection import Connection, Owner
from ..disconnect import Disconnect
from ..metrics.counters import Counters
from ..protocols import WireMessage
from ..sendqueue import PutResult, SendQueue
from ..settings import Settings
from .writers import Writers


class Queues:
    """Puts messages into sessions' queues, and applies the slow-consumer policy."""

    __slots__ = ("_counters", "_owner", "_settings", "_writers")

    def __init__(
        self, settings: Settings, writers: Writers, owner: Owner, counters: Counters
    ) -> None:
        self._settings = settings
        self._writers = writers
        self._owner = owner
        self._counters = counters

    def put(self, session: Connection, messages: list[WireMessage]) -> None:
        """Send messages after those that wait; a session without room is closed or loses some."""
        queue = self.open(session)
        if not queue.put_all(messages) and not self._put_each(session, queue, messages):
            return
        if queue.half_full:
            self._writers.apply_backpressure(session)

    def _put_each(
        self, session: Connection, queue: SendQueue[WireMessage], messages: list[WireMessage]
    ) -> bool:
        """Put what the policy lets in; return False if the session was closed instead."""
        dropped = queue.dropped
        for message in messages:
            if queue.put(message) is PutResult.OVERFLOW:
                self._owner.close(session, Disconnect.SLOW)
                return False
        if queue.dropped > dropped:
            self._counters.drops[self._settings.slow_consumer] += queue.dropped - dropped
        return True

    def open(self, session: Connection) -> SendQueue[WireMessage]:
        """Return a session's queue; attach a new one, for a writer to send, if it has none."""
        if session.queue is not None:
            return session.queue
        settings = self._settings
        # A client that keeps positions must not lose a message without being told.
        policy = settings.slow_consumer if session.client is None else "disconnect"
        queue: SendQueue[WireMessage] = SendQueue(
            settings.queue_messages, settings.queue_bytes, policy
        )
        session.attach_queue(queue)
        self._writers.ready(session)
        return queue
