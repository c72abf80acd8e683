"""The demo: ``python -m asgi_push demo`` serves a page to open, cut and push into WebSockets."""

import os
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn

from asgi_push import SettingsError

if TYPE_CHECKING:
    from uvicorn import Server

INSTALL = (
    "the demo needs uvicorn and a WebSocket library for it: "
    'pip install "uvicorn>=0.52.1" "websockets>=15"'
)
MAX_PORT = 65_535
GRACE = 2  # seconds that open requests get after Ctrl+C

# The largest message that uvicorn accepts, in bytes: a frame that asks for all channels, and more.
_MAX_MESSAGE = 1024 * 1024


def run(host: str, port: int) -> None:
    """Serve the demo until it is interrupted.

    Port 0 takes any free port; the address is printed. If uvicorn is missing or the address cannot
    be used, one line says so and the exit status is 1.
    """
    server = _server()
    listener = _listen(host, port)
    print(f"asgi_push demo: {_address(listener)} (Ctrl+C stops it)", flush=True)
    with listener, suppress(KeyboardInterrupt):  # uvicorn raises it again after it has stopped
        server.run(sockets=[listener])


def _server() -> "Server":
    try:
        import uvicorn  # noqa: PLC0415  # it is in the extra [demo]
    except ImportError:
        _fail(INSTALL)
    from .app import create_app  # noqa: PLC0415  # not needed if uvicorn is missing

    try:
        app = create_app()
    except SettingsError as error:  # from a variable of the environment
        _fail(str(error))
    config = uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=GRACE, ws_max_size=_MAX_MESSAGE
    )
    config.load()
    if config.ws_protocol_class is None:
        _fail(INSTALL)
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. So a taken port gives one line, and no traceback of uvicorn."""
    if not 0 <= port <= MAX_PORT:
        _fail(f"cannot listen on port {port}: a port is a number from 0 to {MAX_PORT}")
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(address[0]), port), family=family)
    except socket.gaierror as error:
        _fail(f"cannot listen on {host}: {error.strerror}")
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        _fail(f"cannot listen on {host} port {port}: {reason}; --port takes another")


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    # All addresses of this machine: print one that opens.
    if ip_address(host.partition("%")[0]).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _fail(reason: str) -> NoReturn:
    print(f"asgi_push demo: {reason}", file=sys.stderr)
    raise SystemExit(1)
