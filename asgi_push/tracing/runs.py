"""A span for each run that hands a sampled publication to sessions, in the publication's trace."""

from collections.abc import Sequence

from opentelemetry.trace import Link, Span, SpanKind, Tracer
from opentelemetry.util.types import AttributeValue

from .sampled import context_below, parse_traceparent

# A run may hand out thousands of publications; SDKs keep so many links of a span.
_MOST_LINKS = 128


class RunSpans:
    """Writes them. A run's span is below its first sampled publication's, and linked to all."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(
        self,
        traces: Sequence[str],
        publications: int,
        channel: str | None,
        began: int | None = None,
    ) -> Span | None:
        """Return the span of a run of so many publications; None if none of them has a trace.

        ``traces`` are the ``traceparent`` of those that are sampled, ``channel`` is that of all of
        them if they have one, and ``began`` is a Unix time in nanoseconds, None for now.
        """
        parents = [*filter(None, map(parse_traceparent, traces[:_MOST_LINKS]))]
        if not parents:
            return None
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "asgi_push",
            "messaging.operation.name": "deliver",
            "messaging.operation.type": "process",
            "messaging.batch.message_count": publications,
        }
        if channel is not None:
            attributes["messaging.destination.name"] = channel
        return self._tracer.start_span(
            "deliver",
            context_below(parents[0]),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[*map(Link, parents)],
            start_time=began,
        )

    def end(self, span: Span, deliveries: int) -> None:
        """End a run's span; ``deliveries`` are its publications times their sessions."""
        span.set_attribute("asgi_push.deliveries", deliveries)
        span.end()
