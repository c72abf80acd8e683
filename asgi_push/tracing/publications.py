"""A span for each publication, of which the publication takes the ``traceparent`` along."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from ..messages import Publication, PublishResult, position_id
from .sampled import is_left_out, traceparent_of

P = ParamSpec("P")
R = TypeVar("R")


class PublicationSpans:
    """Writes them. ``broker`` is the kind of the broker."""

    def __init__(self, tracer: Tracer, broker: str) -> None:
        self._tracer = tracer
        self._broker = broker

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
            # Mostly nobody records: then this adds no coroutine, and asks no sampler.
            if is_left_out():
                return publish(publication, *args, **kwargs)
            return publish_in_span(publication, *args, **kwargs)

        async def publish_in_span(
            publication: Publication, /, *args: P.args, **kwargs: P.kwargs
        ) -> R:
            with self.span(publication) as span:
                found = await publish(publication, *args, **kwargs)
                if span.is_recording():
                    _describe(span, result_of(found))
                return found

        return publish_traced

    @contextmanager
    def span(self, publication: Publication) -> Iterator[Span]:
        """Write the span of what is done to publish; an exception is told in it, and raised."""
        if is_left_out():
            yield INVALID_SPAN
            return
        span = self._tracer.start_span(
            "publish", kind=SpanKind.PRODUCER, attributes=self._attributes(publication)
        )
        publication.trace = traceparent_of(span)
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            raise
        finally:
            span.end()

    def _attributes(self, publication: Publication) -> dict[str, AttributeValue]:
        return {
            "messaging.system": "asgi_push",
            "messaging.destination.name": publication.channel,
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.message.body.size": publication.size,
            "asgi_push.broker": self._broker,
        }


def _describe(span: Span, result: PublishResult) -> None:
    """Tell what became of a publication."""
    if result.receivers is not None:
        span.set_attribute("asgi_push.receivers", result.receivers)
    if result.position is not None:
        span.set_attribute("messaging.message.id", position_id(result.position))
