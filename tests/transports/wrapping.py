"""An application behind real middlewares, one of which each connection chooses: ``?behind=sentry``."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs

import sentry_sdk
from asgi_correlation_id import CorrelationIdMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from sentry_sdk.integrations.starlette import StarletteIntegration
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_push import Push, PushMiddleware, Session

# Both of Sentry's wrappers: of its middleware, which is around every Starlette now, and around each other middleware.
sentry_sdk.init(traces_sample_rate=0.0, integrations=[StarletteIntegration(middleware_spans=True)])
set_global_response_propagator(TraceResponsePropagator())


async def _echo(session: Session, data: str | bytes) -> None:
    await session.send(data)


push = Push(path="/ws", sse=True, metrics=True, on_message=_echo, allowed_origins="*")
inside = PushMiddleware(Starlette(), push)


class Visitor:
    """Gives each visitor a session of Starlette's, with which a cookie goes out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["visitor"] = "ann"
        await self.app(scope, receive, send)


class Louder:
    """Changes what is sent, so that nothing may go around it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def louder(message: Message) -> None:
            if message.get("text") is not None:
                message = {**message, "text": message["text"].upper()}
            if message["type"] == "websocket.accept":
                message = {**message, "headers": [(b"x-louder", b"yes")]}
            await send(message)

        await self.app(scope, receive, louder)


_id = ContextVar[str]("id")


class Identified:
    """Keeps an id in a context variable, as many middlewares do, and needs it for all that is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def identified(message: Message) -> None:
            found = _id.get()
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-id", found.encode())]
            await send(message)

        _id.set("7")
        await self.app(scope, receive, identified)


def _tracing(app: ASGIApp, sampler: Sampler = ALWAYS_OFF, **options: Any) -> ASGIApp:
    return OpenTelemetryMiddleware(app, tracer_provider=TracerProvider(sampler), **options)


def _see(*args: object) -> None:
    """A hook of an application, which wants each message."""


sessions = functools.partial(SessionMiddleware, secret_key="x")
correlated = CorrelationIdMiddleware(inside)

BEHIND: dict[str, ASGIApp] = {
    "nothing": inside,
    "sessions": sessions(Visitor(inside)),
    "sentry": Starlette(middleware=[Middleware(PushMiddleware, push=push)]),
    "opentelemetry": _tracing(inside),
    "opentelemetry, sampled": _tracing(inside, ALWAYS_ON),
    "correlation": correlated,
    "cors": CORSMiddleware(inside, allow_origins=["*"]),
    "gzip": GZipMiddleware(inside),
    "all": _tracing(sessions(CorrelationIdMiddleware(Starlette(middleware=[Middleware(PushMiddleware, push=push)])))),
    "identified": Identified(inside),
    "hook": _tracing(inside, client_response_hook=_see),
    "louder": Louder(inside),
    "louder, sessions": sessions(Louder(inside)),
    "sessions, louder": Louder(sessions(Visitor(inside))),
}

if find_spec("starlette.middleware.opentelemetry"):  # Starlette has it from 1.7 on
    from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as OpenTelemetryOfStarlette

    BEHIND["opentelemetry of starlette"] = OpenTelemetryOfStarlette(inside, tracer_provider=TracerProvider(ALWAYS_OFF))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a connection behind what it chooses."""
    chosen = parse_qs(scope.get("query_string", b"").decode()).get("behind", ["nothing"])
    await BEHIND[chosen[0]](scope, receive, send)
