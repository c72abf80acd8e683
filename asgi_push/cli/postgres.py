"""The command ``postgres``: the schema of the broker ``postgres://``."""

import argparse
import asyncio

from asgi_push import PushError
from asgi_push.brokers.postgres.script import script

from .failures import Failed


def postgres(arguments: argparse.Namespace) -> None:
    """Print the SQL that makes the schema, or make it."""
    if arguments.action == "print":
        if arguments.url is not None:
            raise Failed("print needs no URL: it connects to nothing")
        print(script(arguments.role), end="")
    elif arguments.url is None:
        raise Failed("apply needs the URL of the database")
    else:
        _make(arguments.url, arguments.role)


def _make(url: str, role: str | None) -> None:
    try:
        from psycopg import Error  # noqa: PLC0415  # wants the extra [postgres]
    except ImportError:
        raise Failed('psycopg is missing: pip install "psycopg[binary]>=3.2"') from None
    try:
        new = asyncio.run(_apply(url, role))
    except (Error, OSError, ValueError, PushError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise Failed(f"the schema could not be made: {said}") from None
    done = "made the schema asgi_push" if new else "the schema asgi_push is there already"
    print(done + (f"; {role} may use it" if role else ""))


async def _apply(url: str, role: str | None) -> bool:
    from asgi_push.brokers.postgres import schema  # noqa: PLC0415  # wants the extra [postgres]
    from asgi_push.brokers.postgres.connection import ConnectionFactory  # noqa: PLC0415

    connection = await ConnectionFactory(url).connect()
    try:
        return await schema.apply(connection, role)
    finally:
        await connection.close()
