"""This library with its own tracing: in a trace that is not sampled, and where each publication begins one."""

from functools import partial

from . import Built, Peer, compact
from .ours import build


def _build(ratio: float, *, below: bool = False) -> Built:
    from opentelemetry import trace
    from opentelemetry.context import attach
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    provider = TracerProvider(ParentBasedTraceIdRatio(ratio))
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    trace.set_tracer_provider(provider)
    if below:  # as in the request of a client whose trace is not sampled
        request = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=True))
        attach(trace.set_span_in_context(request))
    return build(path="/ws", tracing=True)


def _peer(title: str, ratio: float, *, below: bool = False) -> Peer:
    return Peer(f"asgi_push, tracing, {title}", partial(_build, ratio, below=below), text=compact, compresses=False)


BELOW = _peer("in a trace that is not sampled", 0.0, below=True)
UNSAMPLED = _peer("in no trace, nothing sampled", 0.0)
ONE_PERCENT = _peer("in no trace, 1 % sampled", 0.01)
