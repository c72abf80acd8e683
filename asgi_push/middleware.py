"""The middleware: takes its WebSocket paths, starts and stops with the application, passes all else through."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from .core import Core
from .endpoints.centrifuge.endpoint import serve_sdk
from .endpoints.health import serve_health
from .endpoints.plain import serve_websocket
from .errors import SettingsError
from .lifespan import LifespanRun, fail_startup
from .logs import logger
from .push import Push, core_of
from .routes import hidden_routes, root_path
from .runtime.event_loop import in_event_loop
from .settings import Settings
from .transports.hypercorn import drain_at_the_end_of_hypercorn

if TYPE_CHECKING:
    from .endpoints.console.endpoint import Console

# An api_key of fewer characters is one that somebody thought of. The right one is always served, however many wrong
# ones came, so it must be too many to try.
_SHORT_KEY = 16

# What tutorials call the user in a path, without underscores.
_NEARLY_USER_ID = frozenset({"userid", "uid", "user", "username"})

_CONSOLE = ("/console", "/console/", "/console/{name}")

Serve = Callable[[Core, Scope, Receive, Send, Mapping[str, Any]], Awaitable[None]]

# Each framework has types of its own for scopes and messages; Starlette's would refuse the others' applications.
AnyApp = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class PushMiddleware:
    """Wraps any ASGI application, gives it ``push``, and starts and stops that with it.

    WebSockets of ``path`` become sessions, ``{http_path}/health`` is answered, and with an ``api_key`` the HTTP API is
    served; every other scope goes to the application, untouched but for the state in which it finds ``push``:
    ``scope["state"]["push"]``, ``app.state.push`` where the application has a state, ``app.extensions["push"]`` where
    it has extensions, and ``get_push`` everywhere.

    Args:
        app: the application.
        push: one that you made, with hooks perhaps; several middlewares may share it.
        path: with a shared ``push``: this middleware's own path.
        options: what ``Push`` takes, where none is given.

    Raises:
        SettingsError: a setting cannot be used. Inside a running event loop, where frameworks build their middlewares
            and servers take an exception for "has no lifespan", it is kept, and start-up is answered with it.
    """

    # Starlette gives ``app`` by position and Litestar by name. In one signature that allows both, ``options`` might
    # hold another ``app``, for which type checkers refuse ``add_middleware(PushMiddleware, ...)``.
    @overload
    def __init__(
        self, app: AnyApp, /, push: Push | None = None, *, path: str | None = None, **options: Any
    ) -> None: ...

    @overload
    def __init__(self, *, app: AnyApp, push: Push | None = None, path: str | None = None, **options: Any) -> None: ...

    def __init__(  # type: ignore[misc]  # the first one's options might hold an ``app``
        self, app: AnyApp, push: Push | None = None, *, path: str | None = None, **options: Any
    ) -> None:
        self.app: ASGIApp = app
        self.error: SettingsError | None = None
        self._told = False  # that there are two, for which once is enough
        self._root_path = root_path(app)
        self._looked = False  # at the application's routes
        try:
            self.push = _make_push(push, path, options)
            self._core = core_of(self.push)
            settings = self.push.settings
            plain = Path(settings.path if path is None else settings.replaced(path=path).path, serve_websocket)
            sdk = [Path(settings.centrifuge_path, serve_sdk)] if settings.centrifuge_path else []
            console = _make_console() if settings.console else None
            live = [Path(settings.http_path.rstrip("/") + "/console/live", console.serve_live)] if console else []
            fixed_first = sorted([*live, plain, *sdk], key=lambda item: bool(item.convertors))
            self._paths = {"websocket": fixed_first, "http": _http_paths(settings, console)}
        except SettingsError as error:
            if not in_event_loop():
                raise
            self.error = error
            return
        self._warn(plain)
        _install(app, self.push)

    def _warn(self, plain: "Path") -> None:
        settings = self.push.settings
        if settings.api_key and len(settings.api_key) < _SHORT_KEY:
            logger.warning(
                "the api_key has %d characters, and may be guessed: make one with "
                'python -c "import secrets; print(secrets.token_urlsafe())"',
                len(settings.api_key),
            )
        if self._core.authenticate is not None or settings.token_secret is not None:
            return
        for name in plain.convertors:
            if name != "user_id" and name.replace("_", "").lower() in _NEARLY_USER_ID:
                logger.warning("{%s} in %s names nobody: the user is taken from {user_id} alone", name, plain.path)
        if "user_id" in plain.convertors:
            logger.warning(
                "the user of %s is taken from the path and is not verified, unless a middleware outside of this one "
                "authenticates: set authenticate or token_secret",
                plain.path,
            )

    def _warn_of_hidden(self) -> None:
        """Say which routes of the application nobody reaches; at the start, when it has them all."""
        self._looked = True
        for kind, what in (("websocket", "WebSocket"), ("http", "HTTP")):
            for path in hidden_routes(self.app, kind, [own.path for own in self._paths[kind]]):
                logger.warning(
                    "%s %s is a route of the application, which this middleware takes: give one of them another path",
                    what,
                    path,
                )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if self.error is not None:
            await self._fail(scope, receive, send, self.error)
            return
        if not self._looked:
            self._warn_of_hidden()
        if scope["type"] == "lifespan":
            scope.setdefault("state", {})["push"] = self.push
            _install(scope.get("app"), self.push)  # what the application starts may push, too
            await LifespanRun(self.push, receive, send).run(self.app, scope)
            return
        if not self.push.running:
            await self.push.start()  # this server, or the application that this is mounted in, has sent no lifespan
        self._core.drain_at_sigterm()  # not at the start, as not every server has its own handler by then
        if own_paths := self._paths.get(scope["type"]):
            path = _path_below_root(scope, self._root_path)
            for own in own_paths:
                if (path_params := own.match(path)) is not None:
                    drain_at_the_end_of_hypercorn(self._core, send)
                    # Awaited right here: every coroutine between the server and the session costs each idle session
                    # memory.
                    await own.serve(self._core, scope, receive, send, path_params)
                    return
        await self.app(self._with_push(scope), receive, send)

    async def _fail(self, scope: Scope, receive: Receive, send: Send, error: SettingsError) -> None:
        if scope["type"] == "lifespan":
            await fail_startup(receive, send, error)
        raise error

    def _with_push(self, scope: Scope) -> Scope:
        app = scope.get("app")
        if app is not None and not _install(app, self.push) and not self._told:
            self._told = True
            logger.warning(
                "%s has another Push already: what is pushed through one reaches no session of the other; make one "
                "Push and give it to every PushMiddleware as push=",
                type(app).__name__,
            )
        state = scope.get("state")
        if state is not None and state.get("push") is self.push:
            return scope
        return {**scope, "state": {**(state or {}), "push": self.push}}


def _make_push(push: Push | None, path: str | None, options: dict[str, Any]) -> Push:
    if push is None:
        return Push(**options) if path is None else Push(path=path, **options)
    if not isinstance(push, Push):
        raise SettingsError(f"push: must be a Push, not {push!r:.80}; its settings are given by name")
    if options:
        raise SettingsError(f"{', '.join(sorted(options))}: an option of Push, and this push is made already")
    return push


class Path:
    """One path in Starlette's syntax, and what serves it."""

    def __init__(self, path: str, serve: Serve) -> None:
        self.path = path
        self.serve = serve
        self._pattern, _, self.convertors = compile_path(path)

    def match(self, path: str) -> Mapping[str, Any] | None:
        """Return the parameters in a path if it is this one, else None."""
        match = self._pattern.match(path)
        if match is None:
            return None
        try:
            return {name: self.convertors[name].convert(value) for name, value in match.groupdict().items()}
        except ValueError:  # such as an int of more digits than Python reads
            return None


def _make_console() -> "Console":
    from .endpoints.console.endpoint import Console  # noqa: PLC0415  # most servers have none

    return Console()


def _http_paths(settings: Settings, console: "Console | None") -> list[Path]:
    """Return the paths below ``http_path`` that are turned on; all others are the application's.

    What serves them is imported here: who turns nothing on does not wait for it.
    """
    base = settings.http_path.rstrip("/")
    paths = [Path(base + "/health", serve_health)]
    if settings.api_key:
        from .endpoints.api.endpoint import serve_api  # noqa: PLC0415

        paths.append(Path(base + "/api/{method}", serve_api))
    if settings.sse:
        from .endpoints.sse.endpoint import serve_events  # noqa: PLC0415

        paths.append(Path(base + "/events", serve_events))
    if settings.metrics:
        from .endpoints.metrics import serve_metrics  # noqa: PLC0415

        paths.append(Path(base + "/metrics", serve_metrics))
    if console is not None:
        paths += [Path(base + path, console.serve_page) for path in _CONSOLE]
    return paths


def _path_below_root(scope: Scope, root_path: str) -> str:
    """Return the path as Starlette's routes see it: a prefix that a proxy or a server has left there is none of it.

    ``root_path`` is what the application sets for itself, which then counts, as it does inside of it.
    """
    root = (root_path or scope.get("root_path") or "").rstrip("/")
    path: str = scope["path"]
    return path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path


def _install(app: Any, push: Push) -> bool:
    """Put ``push`` where an application object keeps such things; a bound method stands for its object (Quart).

    Return False where there is another one already, which stays.
    """
    owner = getattr(app, "__self__", app)
    extensions = getattr(owner, "extensions", None)
    if isinstance(extensions, dict):
        extensions.setdefault("push", push)
    state = getattr(owner, "state", None)
    found = getattr(state, "push", None)
    if state is not None and found is None:
        try:
            state.push = push
        except (AttributeError, TypeError):  # an application of its own make, whose state takes nothing
            logger.debug("the state of %s takes no attribute", type(owner).__name__)
    return not isinstance(found, Push) or found is push


@overload
def get_push(source: HTTPConnection) -> Push: ...


@overload
def get_push(source: Any) -> Push: ...


# Any in truth. By this annotation FastAPI knows what to give to ``Depends(get_push)``.
def get_push(source: HTTPConnection) -> Push:
    """Return the ``Push`` of a scope, of a request or WebSocket, or of an application.

    Raises:
        LookupError: no PushMiddleware has put one there.
    """
    for found in _places(source):
        if isinstance(found, Push):
            return found
    raise LookupError("no push here: wrap the application with PushMiddleware")


def _places(source: Any) -> list[Any]:
    scope = source if isinstance(source, Mapping) else getattr(source, "scope", None)
    if isinstance(scope, Mapping):
        return [(scope.get("state") or {}).get("push"), *_places_of_app(scope.get("app"))]
    return _places_of_app(source)


def _places_of_app(app: Any) -> list[Any]:
    extensions = getattr(app, "extensions", None)
    kept = extensions.get("push") if isinstance(extensions, dict) else None
    return [getattr(getattr(app, "state", None), "push", None), kept, getattr(app, "push", None)]
