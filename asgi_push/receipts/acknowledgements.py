"""Acknowledgements: a client says that it has all of a channel, up to a position in its stream."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from ..connection import Connection
from ..messages import StreamPosition
from ..metrics.counters import Counters
from ..subscription import Subscription, TrackedSubscription
from .reporter import ReceiptReporter


class Acknowledged(StrEnum):
    """What became of an acknowledgement; the values are those of the metric's label."""

    TAKEN = "taken"
    NOT_SUBSCRIBED = "not_subscribed"
    NO_POSITION = "no_position"
    OTHER_EPOCH = "other_epoch"
    NOT_SENT = "not_sent"


class OnAcknowledged(Protocol):
    """Called when a session has confirmed everything in a channel up to a position."""

    def __call__(self, session: Connection, channel: str, position: StreamPosition) -> None: ...


class Acknowledgements:
    """Takes the acknowledgements of this process's sessions.

    Attributes:
        listeners: called with each acknowledgement that confirms more than those before it, where
            an inbox may hold some of that. They must not raise, and must not wait.
    """

    def __init__(self, counters: Counters, reporter: ReceiptReporter) -> None:
        self._counters = counters
        self._reporter = reporter
        self.listeners: list[OnAcknowledged] = []

    def acknowledge(
        self, session: Connection, channel: str, position: StreamPosition
    ) -> Acknowledged:
        """Note that a session has everything in a channel up to a position; return the outcome.

        An acknowledgement is cumulative. One that says less than another before it is no error. An
        empty epoch stands for that of the session's subscription. A client can confirm only what
        it was sent itself. Anything else changes nothing, and is counted.
        """
        outcome = self._acknowledge(session, channel, position)
        self._counters.acknowledgements[outcome] += 1
        return outcome

    def _acknowledge(
        self, session: Connection, channel: str, position: StreamPosition
    ) -> Acknowledged:
        subscription = session.subscriptions.get(channel)
        if session.disconnect is not None or subscription is None:
            return Acknowledged.NOT_SUBSCRIBED
        if not isinstance(subscription, TrackedSubscription) or not subscription.positioned:
            return Acknowledged.NO_POSITION
        if position in subscription.older:
            self._tell(session, channel, position)
            return Acknowledged.TAKEN
        if position.epoch not in ("", subscription.epoch):
            return Acknowledged.OTHER_EPOCH
        if not 0 <= position.offset <= subscription.offset:
            return Acknowledged.NOT_SENT
        before = subscription.confirmed
        if position.offset > before:
            subscription.confirmed = position.offset
            if before < subscription.awaited:
                self._reporter.on_confirmed(session, channel, subscription, before)
            if before < subscription.kept:
                self._tell(session, channel, StreamPosition(position.offset, subscription.epoch))
        return Acknowledged.TAKEN

    def _tell(self, session: Connection, channel: str, position: StreamPosition) -> None:
        for listener in self.listeners:
            listener(session, channel, position)


def note_kept(subscriptions: Iterable[Subscription], offset: int) -> None:
    """Note that their user's inbox keeps what they are about to be handed."""
    for subscription in subscriptions:
        if isinstance(subscription, TrackedSubscription):
            subscription.kept = max(subscription.kept, offset)
