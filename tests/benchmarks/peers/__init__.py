"""Who is measured. One module a peer; what it measures is imported in its ``build``, in the server process only."""

import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..frames import Reader

# What tells a server process of the Redis of the run.
REDIS_VARIABLE = "BENCHMARK_REDIS"

# What tells an application on a server that was started by its own command: the peer, where it is driven from, and the
# server's port. A request for the path is never answered, as the loads run in it.
PEER_VARIABLE, CONTROL_VARIABLE, PORT_VARIABLE = "BENCHMARK_PEER", "BENCHMARK_CONTROL", "BENCHMARK_PORT"
START_PATH = "/benchmark"

# The key to this library's HTTP API.
API_KEY = "a key that nobody guesses"

Publish = Callable[[Any], Awaitable[object]]
Send = Callable[[str, Any], Awaitable[object]]


async def _nothing(*arguments: object) -> None:
    """Stand for what a peer has not."""


@dataclass(frozen=True, slots=True)
class Built:
    """A peer in the server process."""

    app: Any = None  # an ASGI application, for uvicorn ...
    serve: Callable[[socket.socket], AbstractAsyncContextManager[object]] | None = (
        None  # ... or a server of its own ...
    )
    program: Callable[[int], AbstractAsyncContextManager[int]] | None = (
        None  # ... or a program: from port to process id
    )
    publish: Publish = _nothing  # to everybody
    send: Send = _nothing  # to one user


def nothing_built() -> Built:
    """Stand for the ``build`` of a peer that is not Python."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer as the client knows it."""

    title: str
    build: Callable[[], Built]  # in the server process, if that is Python
    text: Callable[[Any], str] = json.dumps  # how a publication arrives
    path: str = "/ws"  # may hold {user}
    hello: str = ""  # a message that the client opens with
    greetings: int = 0  # messages that the server opens with
    then: tuple[str, ...] = ()  # messages that a client that arrives says after its hello, each once it has an answer
    expects: bytes = b""  # what is in each message that such a client is greeted or answered with
    compresses: bool = True  # where the client offers to
    shares: bool = False  # it compresses long messages, each once for all clients
    pure: bool = True  # Python, as far as fan-out is concerned
    # Takes apart what cannot be told in advance as it is sent.
    reader: Callable[[], Reader] | None = None
    learns: bool = False  # whether the client learns what is in an envelope, the same for everybody, from the first
    events: bool = False  # an event stream, no WebSocket
    command: tuple[str, ...] = ()  # the server process, if that is not Python; it is driven by the same socket
    missing: Callable[[], str] = str  # what to install, "" for nothing
    server: str = ""  # what serves it if not uvicorn: a kind of tests/servers.py
    http: str = "/health"  # where the application answers while it pushes


def compact(data: Any) -> str:
    """Encode as orjson, msgspec and python-socketio do, without blanks."""
    return json.dumps(data, separators=(",", ":"))


def redis_url() -> str:
    """Return where the Redis of the run is; for the server process, which is told so by its environment."""
    return os.environ[REDIS_VARIABLE]


# Where each is found: module, attribute.
PEERS = {
    "asgi_push": "ours.DIRECT",
    "asgi_push_metrics": "ours.METRICS",
    "asgi_push_traced_below": "traced.BELOW",
    "asgi_push_traced": "traced.UNSAMPLED",
    "asgi_push_traced_1": "traced.ONE_PERCENT",
    "asgi_push_ordinary": "ours.ORDINARY",
    "asgi_push_compression_off": "ours.COMPRESSION_OFF",
    "asgi_push_envelopes": "ours.ENVELOPES",
    "asgi_push_sdk": "ours.SDK",
    "asgi_push_sdk_ordinary": "ours.SDK_ORDINARY",
    "asgi_push_sse": "ours.SSE",
    "asgi_push_sse_ordinary": "ours.SSE_ORDINARY",
    "asgi_push_outside": "ours.OUTSIDE",
    "asgi_push_users": "ours.USERS",
    "asgi_push_no_receipts": "ours.NO_RECEIPTS",
    "asgi_push_receipts_1": "ours.RECEIPTS_1",
    "asgi_push_receipts_all": "ours.RECEIPTS_ALL",
    "asgi_push_sentry": "behind.SENTRY",
    "asgi_push_opentelemetry": "behind.OPENTELEMETRY",
    "asgi_push_sessions": "behind.SESSIONS",
    "asgi_push_hypercorn": "other_servers.HYPERCORN",
    "asgi_push_hypercorn_trio": "other_servers.HYPERCORN_TRIO",
    "asgi_push_granian": "other_servers.GRANIAN",
    "asgi_push_daphne": "other_servers.DAPHNE",
    "starlette_loop_hypercorn": "other_servers.HYPERCORN_LOOP",
    "starlette_loop_hypercorn_trio": "other_servers.HYPERCORN_TRIO_LOOP",
    "starlette_loop_granian": "other_servers.GRANIAN_LOOP",
    "starlette_loop_daphne": "other_servers.DAPHNE_LOOP",
    "connection_manager": "connection_manager.ENCODE_EACH",
    "connection_manager_once": "connection_manager.ENCODE_ONCE",
    "starlette_loop": "starlette_loop.PEER",
    "websockets": "websockets_broadcast.PEER",
    "litestar": "litestar_channels.PEER",
    "broadcaster": "broadcaster_memory.PEER",
    "channels": "django_channels.PEER",
    "socketio": "socketio_server.PEER",
    "picows": "picows_server.PEER",
    "node_ws": "on_node.WS",
    "node_socketio": "on_node.SOCKETIO",
    "nats": "nats.PEER",
    "nchan": "nchan.PEER",
    "dict_lookup": "dict_lookup.PEER",
    "bare": "bare.PEER",
    "connect_plain": "joining.PLAIN",
    "connect_channels": "joining.CHANNELS",
    "connect_envelopes": "joining.ENVELOPES",
    "connect_sdk": "joining.SDK",
    "connect_plain_redis": "joining.PLAIN_REDIS",
    "connect_channels_redis": "joining.CHANNELS_REDIS",
    "connect_envelopes_redis": "joining.ENVELOPES_REDIS",
    "connect_sdk_redis": "joining.SDK_REDIS",
    "asgi_push_redis": "ours.REDIS",
    "asgi_push_redis_unkept": "ours.REDIS_UNKEPT",
    "asgi_push_on_memory": "on_brokers.MEMORY",
    "asgi_push_on_local": "on_brokers.LOCAL",
    "asgi_push_on_postgres": "on_brokers.POSTGRES",
    "asgi_push_on_redis": "on_brokers.REDIS",
    "channels_redis": "django_channels.REDIS",
    "channels_redis_pubsub": "django_channels.REDIS_PUBSUB",
    "socketio_redis": "socketio_server.REDIS",
    "litestar_redis": "litestar_channels.REDIS",
    "litestar_redis_stream": "litestar_channels.REDIS_STREAM",
    "broadcaster_redis": "broadcaster_memory.REDIS",
}


def load(name: str) -> Peer:
    """Return a peer by its name."""
    module, attribute = PEERS[name].split(".")
    peer: Peer = getattr(import_module(f"{__name__}.{module}"), attribute)
    return peer
