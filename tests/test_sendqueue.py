"""What waits for one session: bounded, in order, and every drop counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from asgi_push.messages import SlowConsumer
from asgi_push.sendqueue import MAX_URGENT, PutResult, SendQueue

POLICIES = get_args(SlowConsumer)


@dataclass(frozen=True, eq=False)
class Message:
    size: int


class QueueMachine(RuleBasedStateMachine):
    """A queue beside a model of it, under any sequence of calls."""

    @initialize(policy=st.sampled_from(POLICIES), max_messages=st.integers(1, 5), max_bytes=st.integers(1, 50))
    def start(self, policy: SlowConsumer, max_messages: int, max_bytes: int) -> None:
        self.queue: SendQueue[Message] = SendQueue(max_messages, max_bytes, policy)
        self.policy, self.max_messages, self.max_bytes = policy, max_messages, max_bytes
        self.waiting: deque[Message] = deque()
        self.urgent: deque[Message] = deque()
        self.sending: list[Message] = []
        self.dropped = 0

    def fits(self, message: Message) -> bool:
        held = [*self.waiting, *self.sending]
        size = sum(item.size for item in held) + message.size
        return not held or (len(held) < self.max_messages and size <= self.max_bytes)

    @rule(size=st.integers(0, 60))
    def put(self, size: int) -> None:
        message = Message(size)
        if not self.fits(message) and self.policy == "disconnect":
            assert self.queue.put(message) is PutResult.OVERFLOW
        elif not self.fits(message) and self.policy == "drop_newest":
            assert self.queue.put(message) is PutResult.DROPPED
            self.dropped += 1
        else:
            while self.waiting and not self.fits(message):
                self.waiting.popleft()
                self.dropped += 1
            assert self.queue.put(message) is PutResult.QUEUED
            self.waiting.append(message)

    @rule(sizes=st.lists(st.integers(0, 30), max_size=4))
    def put_all(self, sizes: list[int]) -> None:
        messages = [Message(size) for size in sizes]
        held = [*self.waiting, *self.sending, *messages]
        fit = len(held) <= self.max_messages and sum(item.size for item in held) <= self.max_bytes
        assert self.queue.put_all(messages) is fit
        if fit:
            self.waiting.extend(messages)

    @rule(size=st.integers(0, 60))
    def put_urgent(self, size: int) -> None:
        message = Message(size)
        if len(self.urgent) < MAX_URGENT:
            assert self.queue.put_urgent(message) is PutResult.QUEUED
            self.urgent.append(message)
        else:
            assert self.queue.put_urgent(message) is PutResult.DROPPED

    @rule(now=st.floats(0, 100))
    def take(self, now: float) -> None:
        message = self.queue.take(now)
        if self.urgent:
            assert message is self.urgent.popleft()
            self.sending = []
        elif self.waiting:
            assert message is self.waiting.popleft()
            self.sending = [message]
        else:
            assert message is None
            self.sending = []
        assert self.queue.sending_since == now

    @rule()
    def clear(self) -> None:
        self.queue.clear()
        self.waiting.clear()
        self.urgent.clear()

    @invariant()
    def counts_what_it_holds(self) -> None:
        held = [*self.waiting, *self.sending]
        assert (len(self.queue), self.queue.bytes) == (len(held), sum(item.size for item in held))
        assert self.queue.dropped == self.dropped

    @invariant()
    def is_bounded(self) -> None:
        # The one exception is drop_oldest's: its newest message has nothing but the one being sent before it.
        if len(self.waiting) > 1 or (self.policy != "drop_oldest" and self.waiting and self.sending):
            assert len(self.queue) <= self.max_messages
            assert self.queue.bytes <= self.max_bytes


TestQueue = QueueMachine.TestCase


def test_urgent_messages_come_first() -> None:
    """An answer to a heartbeat overtakes the data that waits, and answers keep their own order."""
    queue: SendQueue[Message] = SendQueue(10, 100, "disconnect")
    data, first, second = Message(1), Message(1), Message(1)
    queue.put(data)
    queue.put_urgent(first)
    queue.put_urgent(second)
    assert [queue.take(0.0) for _ in range(4)] == [first, second, data, None]


def test_urgent_messages_are_bounded() -> None:
    """A client that sends heartbeats and reads nothing fills no memory."""
    queue: SendQueue[Message] = SendQueue(10, 100, "disconnect")
    puts = [queue.put_urgent(Message(1)) for _ in range(MAX_URGENT + 1)]
    assert puts == [PutResult.QUEUED] * MAX_URGENT + [PutResult.DROPPED]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_queue_takes_a_message_of_any_size(policy: SlowConsumer) -> None:
    """A message is never too large for a session that keeps up."""
    assert SendQueue[Message](1, 1, policy).put(Message(1000)) is PutResult.QUEUED


@pytest.mark.parametrize("size", [0, 1])
def test_the_message_being_sent_counts(size: int) -> None:
    """A peer that takes nothing holds one message less in its queue, whatever the message's size."""
    queue: SendQueue[Message] = SendQueue(2, 100, "disconnect")
    queue.put(Message(size))
    queue.take(0.0)
    assert [queue.put(Message(size)), queue.put(Message(size))] == [PutResult.QUEUED, PutResult.OVERFLOW]


def test_the_last_message_is_never_refused() -> None:
    """What ends a session has its place in a full queue, at the end."""
    queue: SendQueue[Message] = SendQueue(1, 1, "disconnect")
    first, last = Message(1), Message(10)
    queue.put(first)
    queue.put_last(last)
    assert [queue.take(0.0), queue.take(0.0)] == [first, last]


@pytest.mark.parametrize(("sizes", "half"), [([1], False), ([1] * 2, True), ([49], False), ([50], True)])
def test_half_full_by_either_bound(sizes: list[int], half: bool) -> None:
    """Publishers are slowed down from half of either bound on."""
    queue: SendQueue[Message] = SendQueue(4, 100, "disconnect")
    for size in sizes:
        queue.put(Message(size))
    assert queue.half_full is half
