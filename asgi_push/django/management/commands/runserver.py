"""Django's ``runserver``, with a server that speaks WebSocket: it runs ``ASGI_APPLICATION``."""

import socket
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError
from django.utils.module_loading import import_string

if apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
    from django.contrib.staticfiles.management.commands.runserver import Command as Runserver
else:
    from django.core.management.commands.runserver import Command as Runserver


class UvicornServer:
    """What Django's ``runserver`` asks of a server, done by uvicorn."""

    def __init__(self, address: tuple[str, int], _handler: Any, ipv6: bool = False) -> None:
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self._socket = socket.create_server(address, family=family)
        self.server_port = self._socket.getsockname()[1]
        self._app: Any = None

    def set_app(self, app: Any) -> None:
        """Take the application to serve."""
        self._app = app

    def serve_forever(self) -> None:
        """Serve it until Ctrl+C."""
        import uvicorn  # noqa: PLC0415  # an extra

        config = uvicorn.Config(self._app, log_level="info", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[self._socket])


class Command(Runserver):  # type: ignore[misc]  # Django has no types
    """``manage.py runserver``: reloads, and serves static files, as Django's own does."""

    help = "Starts a server for development that speaks WebSocket, and serves static files."
    server_cls = UvicornServer

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """Return the application that ``ASGI_APPLICATION`` names, with static files before it.

        Raises:
            CommandError: the setting is missing, or names nothing.
        """
        named = getattr(settings, "ASGI_APPLICATION", None)
        if not named:
            advice = 'such as "shop.asgi.application"'
            raise CommandError(f"runserver needs the setting ASGI_APPLICATION, {advice}")
        try:
            app = import_string(named)
        except ImportError as error:
            raise CommandError(f"ASGI_APPLICATION is {named!r}: {error}") from error
        static = options.get("use_static_handler", False)
        if static and (settings.DEBUG or options["insecure_serving"]):
            return ASGIStaticFilesHandler(app)
        return app
