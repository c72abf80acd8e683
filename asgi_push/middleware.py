"""The middleware: it takes its own paths, and hands every other scope to the application."""

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from starlette.types import ASGIApp, Receive, Scope, Send

from .endpoint_paths import Served, endpoint_paths, path_parameters
from .errors import SettingsError
from .lifespan import LifespanRun, fail_startup
from .location import install
from .logs import logger
from .middleware_options import MiddlewareOptions
from .push import Push, core_of
from .routes import hidden_routes, root_path
from .runtime.event_loop import in_event_loop
from .transports.hypercorn import drain_at_the_end_of_hypercorn
from .transports.websocket import WebSocketTransport
from .upgrades import HttpOnWebSocketPaths

# An api_key with fewer characters was made up by somebody. The right key is served however many
# wrong ones came before it, so it must be too long to guess.
_SHORT_KEY = 16

# The names, without underscores, that tutorials give to the user in a path.
_NEARLY_USER_ID = frozenset({"userid", "uid", "user", "username"})

# Each framework has its own types for scopes and messages; with Starlette's types, type checkers
# would refuse the applications of the others.
AnyApp = Callable[
    [Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]


class PushMiddleware:
    """Wraps any ASGI application, gives it ``push``, and starts and stops ``push`` with it.

    WebSockets of ``path`` become sessions, ``{http_path}/health`` is answered, and with an
    ``api_key`` the HTTP API is served. Every other scope goes to the application unchanged, except
    that the application finds ``push`` in its state: in ``scope["state"]["push"]``, in
    ``app.state.push`` if the application has a state, in ``app.extensions["push"]`` if it has
    extensions, and with ``get_push`` everywhere.

    Args:
        app: the application.
        push: a ``Push`` that you made, with hooks perhaps. Several middlewares may share it.
        path: the path of this middleware, where several share a ``push``.
        options: what ``Push`` takes, if ``push`` is not given.

    Raises:
        SettingsError: a setting cannot be used. Frameworks build their middlewares inside a running
            event loop, where servers take an exception for "has no lifespan". There the error is
            kept, and the start-up of the server is answered with it.
    """

    def __init__(
        self,
        app: AnyApp,
        push: Push | None = None,
        *,
        path: str | None = None,
        **options: Unpack[MiddlewareOptions],
    ) -> None:
        self.app: ASGIApp = app
        self.error: SettingsError | None = None
        self._root_path = root_path(app)
        self._warned_of_another_push = False
        self._checked_routes = False
        self._http_on_websocket_paths = HttpOnWebSocketPaths()
        try:
            self.push = _make_push(push, path, options)
            settings = self.push.settings
            plain_path = settings.path if path is None else settings.replaced(path=path).path
            self._paths = endpoint_paths(settings, plain_path, root_path=self._root_path, app=app)
        except SettingsError as error:
            if not in_event_loop():
                raise
            self.error = error
            return
        self._core = core_of(self.push)
        self._warn(plain_path)
        install(app, self.push)

    def _warn(self, plain_path: str) -> None:
        settings = self.push.settings
        if settings.api_key and len(settings.api_key) < _SHORT_KEY:
            logger.warning(
                "the api_key has %d characters, and may be guessed: make one with "
                'python -c "import secrets; print(secrets.token_urlsafe())"',
                len(settings.api_key),
            )
        if self._core.authenticate is not None or settings.token_secret is not None:
            return
        names = path_parameters(plain_path)
        for name in names:
            if name != "user_id" and name.replace("_", "").lower() in _NEARLY_USER_ID:
                logger.warning(
                    "{%s} in %s names nobody: the user is taken from {user_id} alone",
                    name,
                    plain_path,
                )
        if "user_id" in names:
            logger.warning(
                "the user of %s is taken from the path and is not verified, unless a middleware "
                "outside of this one authenticates: set authenticate or token_secret",
                plain_path,
            )

    def _warn_of_hidden_routes(self) -> None:
        """Log which routes of the application are hidden; at the first scope it has all of them."""
        self._checked_routes = True
        for kind, what in (("websocket", "WebSocket"), ("http", "HTTP")):
            for path in hidden_routes(self.app, kind, [own.path for own in self._paths[kind]]):
                logger.warning(
                    "%s %s is a route of the application, which this middleware takes: "
                    "give one of them another path",
                    what,
                    path,
                )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        served = await self._begin(scope, receive, send)
        if isinstance(served, WebSocketTransport):
            # As ``run_session``, but here: each coroutine between the server and its ``receive``
            # takes 300 bytes of each idle session.
            try:
                while served.left is None:
                    if (rest := served.handle(await receive())) is not None:
                        await rest
                        del rest
            except BaseException as error:
                if not await served.end(error):
                    raise
            else:
                await served.end()
        elif served is not None:
            await served

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> Served | None:
        """Begin to serve a scope; return what is left to do for it, if anything is."""
        if self.error is not None:
            await self._fail(scope, receive, send, self.error)
            return None
        if not self._checked_routes:
            self._warn_of_hidden_routes()
        if scope["type"] == "lifespan":
            scope.setdefault("state", {})["push"] = self.push
            install(scope.get("app"), self.push)  # what the application starts may push too
            return LifespanRun(self.push, receive, send).run(self.app, scope)
        if not self._core.runner.running:
            # The server has sent no lifespan, or the application that this one is mounted in.
            await self.push.start()
        # Not at the start: some servers set their own handler after it.
        self._core.drain_at_sigterm()
        if own_paths := self._paths.get(scope["type"]):
            path = _path_below_root(scope, self._root_path)
            for own in own_paths:
                if (path_params := own.match(path)) is not None:
                    drain_at_the_end_of_hypercorn(self._core, send)
                    return await own.serve(self._core, scope, receive, send, path_params)
            if scope["type"] == "http" and self._is_of_websockets(path):
                return self._http_on_websocket_paths.serve(
                    self.app, self._with_push(scope), receive, send
                )
        return self.app(self._with_push(scope), receive, send)

    def _is_of_websockets(self, path: str) -> bool:
        paths = self._paths["websocket"]
        return any(own.match(path) is not None for own in paths if ":path}" not in own.path)

    async def _fail(self, scope: Scope, receive: Receive, send: Send, error: SettingsError) -> None:
        if scope["type"] == "lifespan":
            await fail_startup(receive, send, error)
        raise error

    def _with_push(self, scope: Scope) -> Scope:
        app = scope.get("app")
        if app is not None and not install(app, self.push) and not self._warned_of_another_push:
            self._warned_of_another_push = True
            logger.warning(
                "%s has another Push already: what is pushed through one reaches no session of the "
                "other; make one Push and give it to every PushMiddleware as push=",
                type(app).__name__,
            )
        state = scope.get("state")
        if state is not None and state.get("push") is self.push:
            return scope
        return {**scope, "state": {**(state or {}), "push": self.push}}


def _make_push(push: Push | None, path: str | None, options: MiddlewareOptions) -> Push:
    if push is None:
        return Push(**options) if path is None else Push(path=path, **options)
    if not isinstance(push, Push):
        raise SettingsError(
            f"push: must be a Push, not {push!r:.80}; its settings are given by name"
        )
    if options:
        raise SettingsError(
            f"{', '.join(sorted(options))}: an option of Push, and this push is made already"
        )
    return push


def _path_below_root(scope: Scope, root_path: str) -> str:
    """Return the path as Starlette's routes see it, without the prefix of a proxy or a server.

    ``root_path`` is the prefix that the application sets for itself; it wins over the server's.
    """
    root = (root_path or scope.get("root_path") or "").rstrip("/")
    path: str = scope["path"]
    return path[len(root) :] if root and (path == root or path.startswith(root + "/")) else path
