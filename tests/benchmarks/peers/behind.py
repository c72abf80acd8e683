"""This library behind what people wrap around their applications; each leaves ``send`` wrapped."""

from collections.abc import Callable
from typing import Any

from . import Built, Peer, compact
from .ours import build


def _behind(wrap: Callable[[Any], Any]) -> Callable[[], Built]:
    def make() -> Built:
        built = build(path="/ws")
        return Built(wrap(built.app), publish=built.publish, send=built.send)

    return make


def _sentry(app: Any) -> Any:
    import sentry_sdk
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

    sentry_sdk.init(traces_sample_rate=0.0)
    return SentryAsgiMiddleware(app)


def _opentelemetry(app: Any) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    return OpenTelemetryMiddleware(app, tracer_provider=TracerProvider(ALWAYS_OFF))


def _sessions(app: Any) -> Any:
    from starlette.middleware.sessions import SessionMiddleware

    return SessionMiddleware(app, "a secret")


def _peer(title: str, wrap: Callable[[Any], Any]) -> Peer:
    return Peer(f"asgi_push behind {title}", _behind(wrap), text=compact, compresses=False)


SENTRY = _peer("Sentry", _sentry)
OPENTELEMETRY = _peer("OpenTelemetry, unsampled", _opentelemetry)
SESSIONS = _peer("Starlette's SessionMiddleware", _sessions)
