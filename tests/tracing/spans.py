"""Spans of the real SDK, kept in memory, and what is to be found out about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import Span, SpanContext


class Recorder:
    """What one process records; all of it, but for what is below a span that is not sampled."""

    def __init__(self, *, sampled: bool = True) -> None:
        self._exporter = InMemorySpanExporter()
        self.sampled = sampled
        self.provider = TracerProvider(sampler=ParentBased(_Counting(self)))
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.asked = 0  # how often the sampler was asked about a span without a parent
        self.told: dict[str, Any] = {}  # with which attributes, the last time

    def spans(self, name: str) -> list[ReadableSpan]:
        """Those of a name that have ended, the oldest first."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        (span,) = self.spans(name)
        return span

    @contextmanager
    def request(self) -> Iterator[Span]:
        """Run as an endpoint does behind OpenTelemetry's middleware."""
        with self.provider.get_tracer("tests").start_as_current_span("request") as span:
            yield span

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Let what asks for a tracer meanwhile get one that records here."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opentelemetry.trace, "get_tracer", self.provider.get_tracer)
            yield


class _Counting(Sampler):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        self._recorder.asked += 1
        self._recorder.told = dict(kwargs["attributes"] or {})
        sampler = ALWAYS_ON if self._recorder.sampled else ALWAYS_OFF
        return sampler.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        return "as the recorder says"


def leads_to(parent: ReadableSpan | Span, child: ReadableSpan) -> bool:
    """Whether ``child`` is below ``parent``, in the same trace."""
    context = _context(parent)
    assert child.parent is not None
    return (context.trace_id, context.span_id) == (child.parent.trace_id, child.parent.span_id)


def linked(span: ReadableSpan) -> set[int]:
    """The ids of the spans that a span is linked to."""
    return {link.context.span_id for link in span.links}


def ids(spans: list[ReadableSpan]) -> set[int]:
    """The ids of spans."""
    return {_context(span).span_id for span in spans}


def traces(spans: list[ReadableSpan]) -> set[int]:
    """The ids of the traces that spans are in."""
    return {_context(span).trace_id for span in spans}


def _context(span: ReadableSpan | Span) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context
