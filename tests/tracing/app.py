"""An application behind OpenTelemetry's own middleware, which tells what its process has recorded."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_push import Push, PushMiddleware

exporter = InMemorySpanExporter()
push = Push(path="/ws/{user_id}", tracing=True)


async def send(request: Request) -> JSONResponse:
    await push.send_to_user(request.path_params["user"], await request.json())
    return JSONResponse({})


def _told(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "trace": f"{context.trace_id:032x}",
        "id": f"{context.span_id:016x}",
        "parent": None if span.parent is None else f"{span.parent.span_id:016x}",
        "events": [event.name for event in span.events],
        "attributes": dict(span.attributes or {}),
    }


async def spans(_: Request) -> JSONResponse:
    return JSONResponse([_told(span) for span in exporter.get_finished_spans()])


inside = Starlette(routes=[Route("/send/{user}", send, methods=["POST"]), Route("/spans", spans)])
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
app = OpenTelemetryMiddleware(PushMiddleware(inside, push), tracer_provider=provider)
trace.set_tracer_provider(provider)  # after Push was made, as many applications do
