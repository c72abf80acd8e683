"""A span for each publication, of which the publication takes the ``traceparent`` along."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span
from opentelemetry.util.types import AttributeValue

from .. import clock
from ..messages import Publication, PublishResult, position_id
from .sampled import is_left_out, is_sampled, traceparent_of

P = ParamSpec("P")
R = TypeVar("R")

# How long a sampler that left out a publication is not asked about its channel again, in seconds.
# Its answer costs about 6 us, more than all else that tracing does, and publications come in
# bursts. No more than these few channels are remembered.
_PAUSE = 0.005


class PublicationSpans:
    """Writes them. ``broker`` is the kind of the broker."""

    def __init__(self, tracer: Tracer, broker: str) -> None:
        self._tracer = tracer
        self._attributes: dict[str, AttributeValue] = {
            "messaging.system": "asgi_push",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "asgi_push.broker": broker,
        }
        self._paused: set[str] = set()  # the channels about which the sampler is not asked
        self._paused_until = 0.0

    def traced(
        self,
        publish: Callable[Concatenate[Publication, P], Awaitable[R]],
        result_of: Callable[[R], PublishResult],
    ) -> Callable[Concatenate[Publication, P], Awaitable[R]]:
        """Return a function that does as ``publish`` does, in a span.

        ``result_of`` finds the result in what that returns.
        """

        def publish_traced(
            publication: Publication, /, *args: P.args, **kwargs: P.kwargs
        ) -> Awaitable[R]:
            # Mostly nobody records: then this adds no coroutine, and mostly asks no sampler.
            span = self._start_if_wanted(publication)
            if span is None:
                return publish(publication, *args, **kwargs)
            return publish_in_span(span, publication, *args, **kwargs)

        async def publish_in_span(
            span: Span, publication: Publication, /, *args: P.args, **kwargs: P.kwargs
        ) -> R:
            with _until_done(span):
                found = await publish(publication, *args, **kwargs)
                _describe(span, result_of(found))
                return found

        return publish_traced

    @contextmanager
    def span(self, publication: Publication) -> Iterator[None]:
        """Write the span of what is done to publish; an exception is told in it, and raised."""
        context = get_current()
        if is_left_out(context):
            yield
            return
        with _until_done(self._start(publication, context)):
            yield

    def _start_if_wanted(self, publication: Publication) -> Span | None:
        """Return the span of a publication; None if nobody records it."""
        context = get_current()
        parent = get_current_span(context).get_span_context()
        root = not parent.is_valid
        if self._is_paused(publication.channel) if root else not is_sampled(parent):
            return None
        span = self._start(publication, context)
        if span.is_recording():
            return span
        if root:
            self._paused.add(publication.channel)
        return None

    def _is_paused(self, channel: str) -> bool:
        now = clock.monotonic()
        if now >= self._paused_until:
            self._paused.clear()
            self._paused_until = now + _PAUSE
        return channel in self._paused

    def _start(self, publication: Publication, context: Context) -> Span:
        """Return the span of a publication, which takes its ``traceparent`` along."""
        # Samplers see these. All else is added only if somebody records.
        attributes = {**self._attributes, "messaging.destination.name": publication.channel}
        span = self._tracer.start_span(
            "publish", context, kind=SpanKind.PRODUCER, attributes=attributes
        )
        if span.is_recording():
            span.set_attribute("messaging.message.body.size", publication.size)
        publication.trace = traceparent_of(span)
        return span


@contextmanager
def _until_done(span: Span) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR, str(error)))
        raise
    finally:
        span.end()


def _describe(span: Span, result: PublishResult) -> None:
    """Tell what became of a publication."""
    if result.receivers is not None:
        span.set_attribute("asgi_push.receivers", result.receivers)
    if result.position is not None:
        span.set_attribute("messaging.message.id", position_id(result.position))
