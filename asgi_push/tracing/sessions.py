"""A span for each session, from its opening to its end, with what happened to it as events."""

from opentelemetry.trace import Span, SpanKind, Tracer

from ..connection import Connection
from .sampled import is_left_out


class SessionSpans:
    """Writes them. None is written for a message: a session has as many as it likes."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[Connection, Span] = {}  # of those that are recorded

    def opened(self, session: Connection) -> None:
        """Begin the span of a session, below that of its handshake if there is one."""
        if is_left_out():
            return
        span = self._tracer.start_span("session", kind=SpanKind.INTERNAL)
        if not span.is_recording():
            return
        span.set_attribute("asgi_push.session.id", session.id)
        span.set_attribute("asgi_push.protocol", session.protocol)
        span.set_attribute("asgi_push.transport", session.transport)
        if session.user:
            span.set_attribute("user.id", session.user)
        span.add_event("accepted")
        self._spans[session] = span

    def subscribed(self, session: Connection, channel: str) -> None:
        """Tell of a channel that a session is in from now on."""
        span = self._spans.get(session)
        if span is not None:
            span.add_event("subscribed", {"messaging.destination.name": channel})

    def ended(self, session: Connection) -> None:
        """End the span of a session, and tell why it ended; one without a span is no error."""
        span = self._spans.pop(session, None)
        if span is None:
            return
        if session.disconnect is not None:
            disconnect = session.disconnect
            span.add_event(
                "closed",
                {"asgi_push.code": disconnect.code, "asgi_push.reason": disconnect.reason},
            )
        span.end()
