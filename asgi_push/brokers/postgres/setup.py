"""Making the schema, for an administrator. It can be imported without psycopg."""

import asyncio

from ...errors import BrokerError, SettingsError


def make_schema(url: str, role: str | None = None) -> bool:
    """Make the schema in a database that has none, and give a role what an application needs.

    Returns whether the schema is new.

    Raises:
        SettingsError: psycopg is missing.
        BrokerError: the database cannot be reached, or does not allow it.
    """
    try:
        from psycopg import Error  # noqa: PLC0415  # optional: imported on use
    except ImportError:
        raise SettingsError('psycopg is missing: pip install "psycopg[binary]>=3.2.2"') from None
    try:
        return asyncio.run(_apply(url, role))
    except (Error, OSError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise BrokerError(f"the schema could not be made: {said}") from error


async def _apply(url: str, role: str | None) -> bool:
    from . import schema  # noqa: PLC0415  # these need psycopg
    from .connection import ConnectionFactory  # noqa: PLC0415

    connection = await ConnectionFactory(url).connect()
    try:
        return await schema.apply(connection, role)
    finally:
        await connection.close()
