"""Which trace something belongs to, in the running code and in a publication's ``traceparent``."""

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_HEADER = "traceparent"
_SAMPLED = TraceFlags.SAMPLED
_propagator = TraceContextTextMapPropagator()


def is_left_out(context: Context | None = None) -> bool:
    """Whether a context is in a trace that nobody records: what is done there needs no span.

    None stands for the context of the running code.
    """
    parent = get_current_span(context).get_span_context()
    return parent.is_valid and not is_sampled(parent)


def is_sampled(context: SpanContext) -> bool:
    """Whether somebody records the trace of a span."""
    return bool(context.trace_flags & _SAMPLED)


def traceparent_of(span: Span) -> str | None:
    """Return a span's ``traceparent`` as W3C Trace Context has it; None if it is not sampled."""
    context = span.get_span_context()
    if not context.trace_flags & _SAMPLED or not context.is_valid:
        return None
    ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
    return f"00-{ids}-{context.trace_flags:02x}"


def parse_traceparent(text: str) -> SpanContext | None:
    """Return the context of a span elsewhere; None for a text that is none."""
    found = _propagator.extract({_HEADER: text}, Context())
    context = get_current_span(found).get_span_context()
    return context if context.is_valid else None


def context_below(parent: SpanContext) -> Context:
    """Return the context of what a span elsewhere has led to."""
    return set_span_in_context(NonRecordingSpan(parent), Context())
