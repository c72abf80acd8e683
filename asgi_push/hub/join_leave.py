"""Who comes into a channel and who goes, for those who are in it, where its namespace wants that."""

import logging
from collections import deque

from .. import clock
from ..brokers import Broker
from ..channels import Namespaces
from ..connection import Connection, Owner, State
from ..errors import BrokerError
from ..logs import RateLimit
from ..messages import JoinLeave
from ..subscription import Subscription

_UNTOLD = "the others in a channel are not told that a session came or went: %s"


class Announcements:
    """Tells the members of a channel of each session that came that it came, and then once that it went; or neither."""

    def __init__(self, owner: Owner, broker: Broker, namespaces: Namespaces) -> None:
        self._owner = owner
        self._broker = broker
        self._namespaces = namespaces
        self._quiet = RateLimit(10.0)  # in seconds
        self._waiting: deque[tuple[JoinLeave, Subscription]] = deque()
        self.running = 0  # how many have not reached the broker

    def joined(self, session: Connection, channel: str) -> None:
        """A session has come into a channel, unless it has left it meanwhile."""
        subscription = session.subscriptions.get(channel)
        if session.state is not State.OPEN or subscription is None or not subscription.active:
            return
        if self._namespaces.options(channel).join_leave and self._owner.running:
            subscription.announced = True
            self._announce(JoinLeave(channel, session.describe(channel), joined=True), subscription)

    def left(self, session: Connection, channel: str, subscription: Subscription) -> None:
        """A session leaves a channel; nobody is told who was not told that it came."""
        # A session's own channels have one subscription, and everybody's never has announcements.
        announced = subscription.announced and self._namespaces.options(channel).join_leave
        if announced and self._owner.running:
            self._announce(JoinLeave(channel, session.describe(channel), joined=False), subscription)

    def _announce(self, notice: JoinLeave, subscription: Subscription) -> None:
        self._waiting.append((notice, subscription))
        self.running += 1
        self._owner.spawn(self._announce_next)

    async def _announce_next(self) -> None:
        # Not one that the task was made for: trio starts tasks in no order.
        notice, subscription = self._waiting.popleft()
        try:
            await self._broker.announce(notice)
        except BrokerError as error:
            subscription.announced = False
            self._quiet.log(logging.WARNING, clock.monotonic(), _UNTOLD, error)
        finally:
            self.running -= 1
