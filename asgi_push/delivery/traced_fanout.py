"""The fan-out of a process that writes spans."""

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from .. import clock
from ..connection import Connection
from ..messages import Publication
from ..subscription import Subscription
from .batch import Item
from .fanout import Fanout
from .pending import Target

if TYPE_CHECKING:
    from ..tracing.runs import RunSpans


class TracedFanout(Fanout):
    """Writes a span for each run in which a publication has a trace, and for no other."""

    def __init__(self, spans: "RunSpans", *args: Any) -> None:
        super().__init__(*args)
        self._spans = spans

    def deliver_at_once(
        self, session: Connection, subscription: Subscription, publication: Publication
    ) -> bool:
        """Do what every fan-out does; a write at once is a run of one publication."""
        if publication.trace is None:
            return super().deliver_at_once(session, subscription, publication)
        began = int(clock.now() * 1e9)
        before = self._counters.deliveries
        if not super().deliver_at_once(session, subscription, publication):
            return False  # the run that it waits for writes the span
        span = self._spans.start([publication.trace], 1, publication.channel, began)
        if span is not None:
            self._spans.end(span, self._counters.deliveries - before)
        return True

    async def _hand_out(self, pending: Mapping[Target, list[Item]]) -> None:
        items = chain.from_iterable(pending.values())
        traces = [trace for item in items if (trace := item.publication.trace) is not None]
        if not traces:
            return await super()._hand_out(pending)
        target = next(iter(pending)) if len(pending) == 1 else None
        channel = target if isinstance(target, str) else None
        span = self._spans.start(traces, sum(map(len, pending.values())), channel)
        if span is None:
            return await super()._hand_out(pending)
        before = self._counters.deliveries
        try:
            return await super()._hand_out(pending)
        finally:
            self._spans.end(span, self._counters.deliveries - before)
