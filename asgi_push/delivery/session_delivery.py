"""What one session gets of batches, and what becomes of it if that fails."""

from collections.abc import Sequence

from ..connection import Connection, Owner
from ..disconnect import Disconnect
from ..metrics.counters import Counters
from ..runtime.failures import Failures
from ..subscription import Subscription, TrackedSubscription
from .batch import Batch, Gap, filter_for, hold_back
from .queues import Queues
from .undeliverable import Undeliverable, before, gaps

Parts = Sequence[tuple[Subscription | None, Batch]]


class SessionDelivery:
    """Hands batches to one session at a time. A failure reaches no other session."""

    def __init__(
        self,
        queues: Queues,
        undeliverable: Undeliverable,
        owner: Owner,
        counters: Counters,
        failures: Failures,
    ) -> None:
        self._queues = queues
        self._undeliverable = undeliverable
        self._owner = owner
        self._counters = counters
        self._failures = failures

    def serve(self, session: Connection, parts: Parts) -> None:
        """Hand a session what it still has to get of some batches; a failure ends only it."""
        try:
            self._serve(session, parts)
        except Exception as error:  # noqa: BLE001  # one session must not reach another
            self.failed(session, error)

    def _serve(self, session: Connection, parts: Parts) -> None:
        whole: Batch | None = None
        for subscription, batch in parts:
            try:
                part = batch if subscription is None else filter_for(subscription, batch)
            except Gap:
                self._gap(session, batch.items[0].publication.channel, subscription)
                hold_back(subscription, batch)
                continue
            if part is not None:
                whole = part if whole is None else whole.merged(part)
        if whole is not None:
            self.deliver(session, whole)

    def failed(self, session: Connection, error: Exception) -> None:
        """Report that a delivery failed, and close its session."""
        self._failures.report("delivery", error, "a delivery", f" to session {session.id}")
        self._owner.close(session, Disconnect.SERVER_ERROR)

    def _gap(self, session: Connection, channel: str, subscription: Subscription | None) -> None:
        if not isinstance(subscription, TrackedSubscription):
            return
        self._counters.gaps += 1
        if session.client is not None:
            session.client.gap(channel, subscription)
        else:  # more came than is held back while it is sent its user's inbox
            self._owner.close(session, Disconnect.INSUFFICIENT_STATE)

    def deliver(self, session: Connection, batch: Batch) -> None:
        """Hand a batch to one session now; a failure ends only that session."""
        if session.disconnect is not None:
            return
        try:
            frames = batch.frames(session.codec, session.io.deflate)
        except Exception as error:  # noqa: BLE001  # its other publications are delivered
            self._deliver_rest(session, batch, error)
            return
        try:
            if not session.io.write(frames):
                self._queues.put(session, batch.messages(session.codec))
        except Exception as error:  # noqa: BLE001  # one session must not reach another
            self.failed(session, error)

    def _deliver_rest(self, session: Connection, batch: Batch, error: Exception) -> None:
        """Hand a session the part of a batch that its protocol can carry."""
        good, lost = self._undeliverable.part(batch, session.codec)
        if not lost:
            self.failed(session, error)
            return
        found = gaps(session, lost)
        if rest := before(good, found):
            self.deliver(session, Batch(rest))
        for channel, (item, subscription) in found.items():
            subscription.offset = item.publication.offset - 1  # that is what the client has
            self._gap(session, channel, subscription)
