"""Connections to one PostgreSQL."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..credentials import BrokerCredentials, ask

# What making a connection may take, in seconds.
CONNECT_TIME = 3

Connection = AsyncConnection[tuple[Any, ...]]


class ConnectionFactory:
    """Where a PostgreSQL is.

    Raises:
        ValueError: libpq does not understand the URL.
    """

    def __init__(self, url: str, credentials: BrokerCredentials | None = None) -> None:
        try:
            parts = conninfo_to_dict(url)
        except psycopg.Error as error:
            raise ValueError(str(error).strip()) from None
        if credentials is not None and "password" in parts:
            raise ValueError("must have no password beside broker_credentials, which gives it")
        self._credentials = credentials
        given: dict[str, Any] = {
            "connect_timeout": CONNECT_TIME,
            "client_encoding": "UTF8",  # whatever PGCLIENTENCODING says: names may be any text
            "application_name": parts.get("application_name", "asgi_push"),
            "keepalives_idle": parts.get("keepalives_idle", 10),
            "keepalives_interval": parts.get("keepalives_interval", 5),
            "keepalives_count": parts.get("keepalives_count", 3),
        }
        self._conninfo = make_conninfo(url, **given)
        place = parts.get("host") or parts.get("hostaddr") or "the local socket"
        self.name = f"PostgreSQL at {place}:{parts.get('port') or 5432}"

    async def connect(self) -> Connection:
        """Return a new connection, which prepares no statements: a PgBouncer may be between.

        Raises:
            TimeoutError: that took too long.
            psycopg.Error: it could not be had.
            BrokerError: the application does not say who connects.
        """
        who: dict[str, Any] = {}
        if self._credentials is not None:
            user, who["password"] = await ask(self._credentials)
            if user is not None:
                who["user"] = user
        with suppress(TimeoutError):  # whose traceback would keep half a connection open
            # Of names, libpq's own timeout knows nothing.
            async with asyncio.timeout(CONNECT_TIME + 1):
                return await AsyncConnection.connect(
                    self._conninfo, autocommit=True, prepare_threshold=None, **who
                )
        raise TimeoutError


def hang_up(connection: Connection) -> None:
    """End a connection at once, whatever the server does; who waits for an answer is told."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as sock,
    ):
        sock.shutdown(socket.SHUT_RDWR)
