"""The command ``postgres``: the schema of the broker ``postgres://``."""

import argparse

from asgi_push.brokers.postgres.script import script
from asgi_push.brokers.postgres.setup import make_schema

from .failures import Failed


def postgres(arguments: argparse.Namespace) -> None:
    """Print the SQL that makes the schema, or make it."""
    if arguments.action == "print":
        if arguments.url is not None:
            raise Failed("print needs no URL: it connects to nothing")
        print(script(arguments.role), end="")
        return
    if arguments.url is None:
        raise Failed("apply needs the URL of the database")
    new = make_schema(arguments.url, arguments.role)
    done = "made the schema asgi_push" if new else "the schema asgi_push is there already"
    print(done + (f"; {arguments.role} may use it" if arguments.role else ""))
