"""The settings as keyword arguments, which an editor completes and a type checker checks.

``tests/test_settings_fields.py`` holds that these are the fields of ``Settings``, with their types.
"""

from typing import TypedDict

from .messages import Compression, Pong, SlowConsumer, WhenExceeded


class FieldsWithoutPath(TypedDict, total=False):
    """All settings but ``path``, which ``PushMiddleware`` has a parameter of its own for."""

    centrifuge_path: str
    http_path: str
    broker: str
    postgres_listen_url: str
    redis_prefix: str
    allowed_origins: str
    token_secret: str | None
    token_audience: str
    token_issuer: str
    token_cookie: str
    api_key: str | None
    token_query: str
    emulated_headers: str
    anonymous: bool | None
    ping_interval: float
    pong_timeout: float
    idle_timeout: float
    pong: Pong
    send_timeout: float
    max_message_bytes: int
    queue_bytes: int
    queue_messages: int
    slow_consumer: SlowConsumer
    max_sessions: int
    max_sessions_per_user: int
    when_exceeded: WhenExceeded
    everybody: bool
    max_channels: int
    history_size: int
    history_ttl: float
    inbox_size: int
    inbox_bytes: int
    inbox_ttl: float
    drain_timeout: float
    direct_writes: bool
    compression: Compression
    sse: bool
    metrics: bool
    asyncapi: bool
    tracing: bool
    console: bool


class SettingsFields(FieldsWithoutPath, total=False):
    """All settings; each may be left out."""

    path: str
