"""Join and leave notices: the members of a channel learn who joins it, and who leaves it."""

import logging
from collections import deque

from .. import clock
from ..brokers import Broker
from ..channels import Namespaces
from ..connection import Connection, Owner
from ..errors import BrokerError
from ..logs import RateLimit
from ..messages import JoinLeave
from ..subscription import Subscription

_FAILED = "the others in a channel are not told that a session came or went: %s"

# Seconds between two log lines that say that.
_QUIET = 10.0


class JoinLeaveNotices:
    """Publishes a notice when a session joins a channel, and another when it leaves it again."""

    def __init__(self, owner: Owner, broker: Broker, namespaces: Namespaces) -> None:
        self._owner = owner
        self._broker = broker
        self._namespaces = namespaces
        self._quiet = RateLimit(_QUIET)
        self._waiting: deque[tuple[JoinLeave, Subscription]] = deque()
        self.running = 0  # how many have not reached the broker

    def publish_join(self, session: Connection, channel: str) -> None:
        """Tell the members of a channel that a session has joined it, if it is still in it."""
        if session.disconnect is not None or not self._namespaces.options(channel).join_leave:
            return
        subscription = session.subscriptions.get(channel)
        if subscription is not None and subscription.active and self._owner.running:
            subscription.announced = True
            self._publish(JoinLeave(channel, session.describe(channel), joined=True), subscription)

    def publish_leave(self, session: Connection, channel: str, subscription: Subscription) -> None:
        """Tell the members of a channel that a session left it, if they know that it joined."""
        # A session's own channels share one subscription; in everybody's there are no notices.
        announced = subscription.announced and self._namespaces.options(channel).join_leave
        if announced and self._owner.running:
            self._publish(JoinLeave(channel, session.describe(channel), joined=False), subscription)

    def _publish(self, notice: JoinLeave, subscription: Subscription) -> None:
        self._waiting.append((notice, subscription))
        self.running += 1
        self._owner.spawn(self._publish_next)

    async def _publish_next(self) -> None:
        # The first that waits, whichever task this is: trio starts tasks in any order.
        notice, subscription = self._waiting.popleft()
        try:
            await self._broker.publish_join_leave(notice)
        except BrokerError as error:
            subscription.announced = False
            self._quiet.log(logging.WARNING, clock.monotonic(), _FAILED, error)
        finally:
            self.running -= 1
