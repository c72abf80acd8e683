"""Publishing inside a transaction of the application, on its own connection."""

import inspect
from collections.abc import Mapping
from typing import Any

from ...messages import Publication
from .. import envelope
from ..contract import StreamOptions
from ..inbox import Keep
from .names import stored, stored_key

# The arguments of ``asgi_push.publish`` and their types, and those that an inbox has beside them.
_TYPES = {"channel": "text", "body": "bytea", "size": "bigint", "ttl": "float8", "key": "text"}
_INBOX_TYPES = {
    "data_size": "bigint",
    "inbox_size": "bigint",
    "inbox_bytes": "bigint",
    "inbox_ttl": "float8",
    "undelivered_after": "float8",
}
_ALL_TYPES = _TYPES | _INBOX_TYPES

# What may be given, by the library and the name of a class; others may derive from these.
_KINDS = {
    ("psycopg", "Connection"): "psycopg",
    ("psycopg", "AsyncConnection"): "async psycopg",
    ("asyncpg", "Connection"): "async asyncpg",
    ("asyncpg", "PoolConnectionProxy"): "async asyncpg",
    ("sqlalchemy", "Connection"): "sqlalchemy",
    ("sqlalchemy", "Session"): "sqlalchemy",
    ("sqlalchemy", "scoped_session"): "sqlalchemy",
    ("sqlalchemy", "AsyncConnection"): "async sqlalchemy",
    ("sqlalchemy", "AsyncSession"): "async sqlalchemy",
    ("sqlalchemy", "async_scoped_session"): "async sqlalchemy",
    ("django", "BaseDatabaseWrapper"): "django",
    ("django", "ConnectionProxy"): "django",
}


Arguments = Mapping[str, Any]  # by name, in the order of the types


async def publish_in(
    connection: Any,
    publication: Publication,
    stream: StreamOptions | None,
    idempotency_key: str | None,
    keep: Keep | None = None,
) -> None:
    """Publish in the transaction of a connection: delivered when it commits, never if it does not.

    A connection that is not async is used on this thread, which waits for it.

    Raises:
        ValueError: it is no connection to a PostgreSQL that is known here.
        Exception: whatever the driver raises.
    """
    done = _execute(connection, _arguments(publication, stream, idempotency_key, keep))
    if inspect.isawaitable(done):
        await done


def publish_in_blocking(
    connection: Any,
    publication: Publication,
    stream: StreamOptions | None,
    idempotency_key: str | None,
    keep: Keep | None = None,
) -> None:
    """Do the same on a connection that is not async; see ``publish_in``."""
    if kind_of(connection).startswith("async"):
        raise ValueError("using: this connection is async: await push.publish(...)")
    _execute(connection, _arguments(publication, stream, idempotency_key, keep))


def kind_of(connection: Any) -> str:
    """Return which library a connection is of; ValueError if it is none that is known."""
    for cls in type(connection).__mro__:
        kind = _KINDS.get((cls.__module__.partition(".")[0], cls.__name__))
        if kind is not None:
            _check_dialect(kind, connection)
            return kind
    raise ValueError(
        "using: must be a connection of psycopg, asyncpg or Django, or a connection or session of"
        f" SQLAlchemy, not {type(connection).__module__}.{type(connection).__qualname__}"
    )


def _check_dialect(kind: str, connection: Any) -> None:
    if kind == "django":
        name = connection.vendor
    elif kind.endswith("sqlalchemy"):
        bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
        name = bind.dialect.name
    else:
        return
    if name != "postgresql":
        raise ValueError(f"using: must be a connection to the PostgreSQL of the broker, not {name}")


def _arguments(
    publication: Publication,
    stream: StreamOptions | None,
    idempotency_key: str | None,
    keep: Keep | None,
) -> Arguments:
    size, ttl = (None, None) if stream is None else (stream.size, stream.ttl)
    channel = stored(publication.channel)
    body = envelope.body(publication)
    values = [channel, body, size, ttl, stored_key(idempotency_key)]
    if keep is not None:
        inbox = keep.options
        values += [publication.size, inbox.size, inbox.bytes, inbox.ttl, keep.undelivered_after]
    return dict(zip(_ALL_TYPES, values, strict=False))


def _execute(connection: Any, arguments: Arguments) -> Any:
    """Run the function; what is returned is to be awaited if the connection is async."""
    kind = kind_of(connection)
    if kind.endswith("psycopg"):
        return connection.execute(_call(arguments, "%s"), [*arguments.values()])
    if kind == "async asyncpg":
        return connection.execute(_call(arguments, "${number}"), *arguments.values())
    if kind == "django":
        with connection.cursor() as cursor:
            return cursor.execute(_call(arguments, "%s"), [*arguments.values()])
    from sqlalchemy import text  # noqa: PLC0415  # whose connection this is

    return connection.execute(text(_call(arguments, ":{name}")), dict(arguments))


def _call(arguments: Arguments, place: str) -> str:
    """Return the SQL that calls the function; ``place`` is how a driver writes an argument."""
    given = [
        f"CAST({place.format(name=name, number=number)} AS {_ALL_TYPES[name]})"
        for number, name in enumerate(arguments, 1)
    ]
    return f"SELECT asgi_push.publish({', '.join(given)})"
