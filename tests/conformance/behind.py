"""The same application behind what people wrap around theirs: every frame guard holds there, too."""

from __future__ import annotations

import sentry_sdk
from asgi_correlation_id import CorrelationIdMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.middleware.sessions import SessionMiddleware

from tests.conformance.app import app as _inside

sentry_sdk.init()

app = OpenTelemetryMiddleware(
    SentryAsgiMiddleware(SessionMiddleware(CorrelationIdMiddleware(_inside), "x")),
    tracer_provider=TracerProvider(ALWAYS_OFF),
)
