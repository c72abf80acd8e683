"""The schema that must be in the database: made by whoever may, and checked by all others."""

from typing import Any

import psycopg
from psycopg import sql

from ...errors import BrokerError
from .connection import Connection
from .script import grants, script

# Of the schema that this code speaks to, and the oldest server that has all that it needs.
VERSION = 1
OLDEST_SERVER = 130_000  # as server_version_num has it: pg_current_xact_id, gen_random_uuid

# Of the database: others have no places for most names that channels and users may have.
_ENCODING = "UTF8"

# Who makes the schema holds this lock, so that one process does. The number means nothing.
_LOCK = 0x61736769

_HOW = "run `asgi-push postgres apply URL` as a user who may create a schema"
_HOW_ROLE = "run `asgi-push postgres apply URL --role {}` as its owner"

_CHECK = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       current_setting('server_encoding'), pg_is_in_recovery(), current_user::text,
       n.oid IS NOT NULL,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AND (
           SELECT coalesce(bool_and(has_table_privilege(c.oid, 'INSERT')
                                    AND has_table_privilege(c.oid, 'DELETE')), false)
           FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r'
       ) AND (
           SELECT coalesce(bool_and(has_function_privilege(p.oid, 'EXECUTE')), false)
           FROM pg_proc p WHERE p.pronamespace = n.oid
       )
FROM (VALUES (1)) one LEFT JOIN pg_namespace n ON n.nspname = 'asgi_push'
"""


class SchemaError(BrokerError):
    """The database has no schema that can be used; the message names the command that helps."""


class StandbyError(ConnectionError):
    """The server takes no writes now."""

    sqlstate = "25006"  # as the server says it of a statement that writes


async def ensure(connection: Connection) -> None:
    """Make the schema if there is none; return when it can be used.

    Raises:
        SchemaError: it cannot be, and trying again does not help.
        StandbyError: the server is one that takes no writes now; another may come.
    """
    number, version, encoding, standby, user, exists, usable = await _one(connection, _CHECK)
    if number < OLDEST_SERVER:
        raise SchemaError(f"PostgreSQL: its version is {version}, and 13 or newer is needed")
    if encoding != _ENCODING:
        raise SchemaError(
            f"PostgreSQL: the encoding of its database is {encoding}, and {_ENCODING} is needed"
        )
    if standby:
        raise StandbyError("it is a standby, and takes no writes")
    if not exists:
        try:
            await apply(connection)
        except psycopg.errors.InsufficientPrivilege:
            raise SchemaError(
                f"PostgreSQL: there is no schema asgi_push, and {user} may not create it: {_HOW}"
            ) from None
        return
    if not usable:
        how = _HOW_ROLE.format(user)
        raise SchemaError(f"PostgreSQL: {user} may not use the schema asgi_push: {how}")
    check_version(*await _one(connection, "SELECT max(version) FROM asgi_push.version"))


def check_version(found: int) -> None:
    """Raise SchemaError if a schema is one that this code does not speak to."""
    if found > VERSION:
        raise SchemaError(
            f"PostgreSQL: the schema asgi_push has version {found}, "
            f"and this asgi_push knows {VERSION}: update it"
        )


async def apply(connection: Connection, role: str | None = None) -> bool:
    """Make the schema if there is none, and give a role its rights; return whether it is new."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        (exists,) = await _one(
            connection, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'asgi_push')"
        )
        if not exists:
            await _run(connection, script())
        if role is not None:
            await _run(connection, grants(role))
    return not exists


async def _run(connection: Connection, text: str) -> None:
    await connection.execute(sql.SQL(text))


async def _one(connection: Connection, query: str) -> tuple[Any, ...]:
    cursor = await connection.execute(query)
    row = await cursor.fetchone()
    return () if row is None else row
