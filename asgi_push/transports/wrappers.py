"""The middlewares whose wrapper of ``send`` does nothing to what is sent once it has begun.

A session's cookie and a correlation id go out with the accept, or with the start of a response:
these go through every wrapper. After that the wrappers here pass messages on as they are; at most
they make a span of each. So data may be written past them.

A wrapper is known by its text, not by its name: each was read. One of another version that says
anything else is unknown, and nothing is written past it.
"""

import ast
import functools
import hashlib
import inspect
import linecache
import sys
import textwrap
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any

Held = Mapping[str, Any]


def _always(held: Held) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A function that a middleware puts in the place of ``send``.

    Attributes:
        module, function: where it is defined, and its qualified name there.
        texts: the digests of its texts that were read (see ``digest``).
        inner: what holds the ``send`` that it passes messages on to: a variable of a closure, a
            keyword of a partial, or an attribute of the object whose method it is.
        passes_on: tells from what it holds whether it passes everything on.
    """

    module: str
    function: str
    texts: frozenset[str]
    inner: str = "send"
    passes_on: Callable[[Held], bool] = _always


def _no_hook(held: Held) -> bool:
    # The application's own function, which wants to see each message.
    return getattr(held.get("self"), "client_response_hook", held) is None


def _left_as_it_is(held: Held) -> bool:
    # Its compression passes a body on as it is when the type of the content is excluded.
    return held.get("content_type_is_excluded") is True


def _websocket(held: Held) -> bool:
    # Bodies of responses are looked at for an attack.
    return bool(held.get("scope", {}).get("type") == "websocket")


def _passed_through(held: Held) -> bool:
    # Until then it looks for a page's head, in which it puts a script.
    return held.get("pass_through") is True


def _known_plugins(held: Held) -> bool:
    # A plugin of the application may change any message; those of the package only add headers.
    package: Any = sys.modules.get("starlette_context.plugins.base")
    if package is None:
        return False
    own = package.Plugin.enrich_response, package.PluginUUIDBase.enrich_response
    plugins = getattr(held.get("self"), "plugins", None)
    return plugins is not None and all(type(plugin).enrich_response in own for plugin in plugins)


def _wrapper(module: str, function: str, *texts: str, **more: Any) -> Wrapper:
    return Wrapper(module, function, frozenset(texts), **more)


KNOWN = (
    _wrapper(
        "starlette.middleware.errors",
        "ServerErrorMiddleware.__call__.<locals>._send",
        "1a483e956cd17a8b",
    ),
    _wrapper(
        "starlette.middleware.sessions",
        "SessionMiddleware.__call__.<locals>.send_wrapper",
        "32c59542f978c5e3",
        "49d918d0cf9a6e24",
        "77ef4483a2456347",
        "7ff1c82bfda37c3e",
    ),
    _wrapper(
        "starlette.middleware.cors",
        "CORSMiddleware.send",
        "025914c7f5fa9780",
        "7182cfef04c373aa",
        "dab8680388e7733d",
    ),
    _wrapper(
        "starlette.middleware.gzip",
        "IdentityResponder.send_with_compression",
        "1d38d39c12ac9e3c",
        "29a856d6e886693f",
        "8ffccee4978d033f",
        "b596b5a78f5d9f21",
        "e482f2dae7e3d86b",
        "faa79fea4632e395",
        passes_on=_left_as_it_is,
    ),
    _wrapper(
        "starlette.middleware.opentelemetry",
        "OpenTelemetryMiddleware.__call__.<locals>.send_with_telemetry",
        "137ddaddfe883c70",
    ),
    _wrapper(
        "sentry_sdk.integrations.asgi",
        "SentryAsgiMiddleware._run_app.<locals>._sentry_wrapped_send",
        "03face6488de5ca9",
        "189e1207114cd745",
        "d82245e1087e79b7",
    ),
    _wrapper(
        "sentry_sdk.integrations.starlette",
        "_enable_span_for_middleware.<locals>._create_span_call.<locals>._sentry_send",
        "4109173dd5b7db4c",
        "672be516e81ff7b1",
        "c494ad7cc55b4d2f",
    ),
    _wrapper(
        "opentelemetry.instrumentation.asgi",
        "OpenTelemetryMiddleware._get_otel_send.<locals>.otel_send",
        "47172e5228ed016a",
        "56a58a70755605d1",
        passes_on=_no_hook,
    ),
    _wrapper(
        "asgi_correlation_id.middleware",
        "CorrelationIdMiddleware.__call__.<locals>.handle_outgoing_request",
        "28680108220ed5e0",
        "fcb9b4ec8ad4159a",
    ),
    _wrapper(
        "ddtrace.contrib.internal.asgi.middleware",
        "TraceMiddleware.__call__.<locals>.wrapped_send",
        "71e18f41afb6db3b",
        "7bab991c81bfff10",
        "d5eefc9e190f5f41",
        passes_on=_websocket,
    ),
    _wrapper(
        "starlette_context.middleware.raw_middleware",
        "RawContextMiddleware.__call__.<locals>.send_wrapper",
        "fdf8dd036c4b22cb",
        passes_on=_known_plugins,
    ),
    _wrapper(
        "prometheus_fastapi_instrumentator.middleware",
        "PrometheusInstrumentatorMiddleware.__call__.<locals>.send_wrapper",
        "ccd1479b2923262b",  # of two functions of this name the one that keeps no body
        "e7f1820b567176aa",
    ),
    _wrapper(
        "starlette_exporter.middleware",
        "PrometheusMiddleware.__call__.<locals>.wrapped_send",
        "f2f0cf20488f9776",
    ),
    _wrapper(
        "elasticapm.contrib.starlette",
        "ElasticAPM.__call__.<locals>.wrapped_send",
        "90d65c7e06ecc33a",
    ),
    _wrapper(
        "newrelic.api.asgi_application",
        "ASGIWebTransaction.send",
        "252a314b3be2e40e",
        "3935a338b16cd9d0",
        inner="_send",
    ),
    _wrapper(
        "newrelic.api.asgi_application",
        "ASGIBrowserMiddleware.send_inject_browser_agent",
        "28823e284249fcc3",
        "54a4c30bc873a746",
        passes_on=_passed_through,
    ),
    _wrapper(
        "starsessions.middleware",
        "SessionMiddleware.__call__.<locals>.send_wrapper",
        "549ec8144e8c3f8a",
    ),
)

# Several times what there is.
_MOST_DIGESTS = 4 * len(KNOWN)

_BY_PLACE = {(wrapper.module, wrapper.function): wrapper for wrapper in KNOWN}


def unwrap(send: Any) -> Any:
    """Return the first ``send`` behind wrappers that are known; ``send`` itself if it is none."""
    while (inner := _inner(send)) is not None:
        send = inner
    return send


def _inner(send: Any) -> Any:
    """Return the ``send`` to which a known wrapper passes everything on; None if it may not."""
    function, held = _parts(send)
    if function is None:
        return None
    place = function.__globals__.get("__name__", ""), function.__code__.co_qualname
    wrapper = _BY_PLACE.get(place)
    module = sys.modules.get(wrapper.module) if wrapper is not None else None
    if wrapper is None or module is None or function.__globals__ is not vars(module):
        return None
    if digest(function.__code__) not in wrapper.texts or not wrapper.passes_on(held):
        return None
    return held.get(wrapper.inner)


def _parts(send: Any) -> tuple[FunctionType | None, Held]:
    """Return the function that a call of ``send`` runs, and what it holds by name."""
    if type(send) is functools.partial and not send.args and type(send.func) is MethodType:
        return _function(send.func.__func__), send.keywords
    if type(send) is MethodType:
        return _function(send.__func__), getattr(send.__self__, "__dict__", {})
    function = _function(send)
    if function is None:
        return None, {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return function, {name: _content(cell) for name, cell in cells}


def _function(found: Any) -> FunctionType | None:
    return found if type(found) is FunctionType else None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return None


# The digests of functions that were met, by the id of their code: to hash a code takes as long as
# all the rest. Each code is kept, so that its id is not given to another.
_digests: dict[int, tuple[CodeType, str]] = {}


def digest(code: CodeType) -> str:
    """Return a digest of what a function says; it is empty where the source is not at hand.

    Its layout, its annotations and its docstring do not count.
    """
    known = _digests.get(id(code))
    if known is None:
        if len(_digests) >= _MOST_DIGESTS:  # somebody makes them at run time
            _digests.clear()
        known = _digests[id(code)] = (code, _digest(code))
    return known[1]


def _digest(code: CodeType) -> str:
    # inspect.getsource looks at every module that is loaded first, which takes many milliseconds.
    lines = linecache.getlines(code.co_filename)
    try:
        source = textwrap.dedent("".join(inspect.getblock(lines[code.co_firstlineno - 1 :])))
        (function,) = ast.parse(source).body
    except (SyntaxError, ValueError, tokenize.TokenError):  # not there, or not what was compiled
        return ""
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            if ast.get_docstring(node) is not None:
                del node.body[0]
    return hashlib.sha256(ast.unparse(function).encode()).hexdigest()[:16]
