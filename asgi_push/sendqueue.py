"""A queue for one session, bounded by messages and by bytes."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from .messages import SlowConsumer

_SIZE = attrgetter("size")

# This many answers to heartbeats may wait ahead of the queue. A client that sends more of them
# than it reads gets no more answers.
MAX_URGENT = 16


class Sized(Protocol):
    """A message whose size in bytes is known."""

    @property
    def size(self) -> int: ...


M = TypeVar("M", bound=Sized)


class PutResult(Enum):
    """What became of a message that was put into a queue."""

    QUEUED = 0
    DROPPED = 1
    OVERFLOW = 2


class SendQueue(Generic[M]):
    """A queue of at most ``max_messages`` and ``max_bytes``, the message being sent included.

    An empty queue takes one message of any size, so that no message is too large for a session
    that keeps up. With ``drop_oldest`` the newest message always gets in, if only behind the one
    being sent.
    """

    __slots__ = (
        "_max_bytes",
        "_max_messages",
        "_messages",
        "_policy",
        "_sending",
        "_urgent",
        "bytes",
        "dropped",
        "sending_since",
        "slow",
    )

    def __init__(self, max_messages: int, max_bytes: int, policy: SlowConsumer) -> None:
        self._messages: deque[M] = deque()
        self._urgent: deque[M] | None = None
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._policy = policy
        self._sending: int | None = None  # the size of the message being sent
        self.bytes = 0
        self.dropped = 0
        self.sending_since: float | None = None
        self.slow = False  # known to be behind: publishers no longer wait for it

    def __len__(self) -> int:
        return len(self._messages) + (self._sending is not None)

    def put(self, message: M) -> PutResult:
        """Add a message at the end, as the policy allows.

        ``dropped`` counts the messages that the policy dropped.
        """
        if not self._fits(message):
            if self._policy == "disconnect":
                return PutResult.OVERFLOW
            if self._policy == "drop_newest":
                self.dropped += 1
                return PutResult.DROPPED
            while self._messages and not self._fits(message):
                self.bytes -= self._messages.popleft().size
                self.dropped += 1
        self._messages.append(message)
        self.bytes += message.size
        return PutResult.QUEUED

    def put_all(self, messages: Sequence[M]) -> bool:
        """Add messages at the end if all fit; else add none and return False."""
        size = sum(map(_SIZE, messages))
        if len(self) + len(messages) > self._max_messages or self.bytes + size > self._max_bytes:
            return False
        self._messages.extend(messages)
        self.bytes += size
        return True

    def _fits(self, message: M) -> bool:
        held = len(self)
        return not held or (
            held < self._max_messages and self.bytes + message.size <= self._max_bytes
        )

    def put_last(self, message: M) -> None:
        """Add the last message, even if the queue is full."""
        self._messages.append(message)
        self.bytes += message.size

    def put_urgent(self, message: M) -> PutResult:
        """Add a message ahead of the queue, where ``MAX_URGENT`` of them may wait."""
        if self._urgent is None:
            self._urgent = deque()
        if len(self._urgent) >= MAX_URGENT:
            return PutResult.DROPPED
        self._urgent.append(message)
        return PutResult.QUEUED

    def take(self, now: float) -> M | None:
        """Return the next message, whose sending begins ``now``, or None.

        The message before it counts as sent.
        """
        self.sending_since = now
        if self._sending is not None:
            self.bytes -= self._sending
            self._sending = None
        if self._urgent:
            return self._urgent.popleft()
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._sending = message.size
        return message

    def keep(self, wanted: Callable[[M], bool]) -> None:
        """Remove each waiting message for which ``wanted`` returns False.

        The message that is being sent still counts.
        """
        self._messages = deque(filter(wanted, self._messages))
        self.bytes = (self._sending or 0) + sum(map(_SIZE, self._messages))

    def clear(self) -> None:
        """Remove all waiting messages; the one that is being sent still counts."""
        self._messages.clear()
        self._urgent = None
        self.bytes = self._sending or 0

    @property
    def empty(self) -> bool:
        """Whether no message waits; the one that is being sent does not count."""
        return not self._messages and not self._urgent

    @property
    def half_full(self) -> bool:
        """Whether half of either bound is reached, so that publishers should slow down."""
        return len(self._messages) * 2 >= self._max_messages or self.bytes * 2 >= self._max_bytes
