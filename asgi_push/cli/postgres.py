"""The command ``postgres``: the schema of the broker ``postgres://``."""

import argparse

from asgi_push.brokers.postgres.script import script
from asgi_push.brokers.postgres.setup import make_schema

from .failures import Failed
from .output import show

POSTGRES = """\
For the broker postgres://: print the SQL that creates the schema asgi_push, or
create it in a database. A schema that exists is left alone. An application
creates it by itself if its user may. If not, use this command, and let --role
give that user the rights. Put a password into PGPASSWORD or ~/.pgpass rather
than into the URL, because other users of the machine can read arguments.
"""


def postgres(arguments: argparse.Namespace) -> None:
    """Print the SQL that makes the schema, or make it."""
    if arguments.action == "print":
        if arguments.url is not None:
            raise Failed("print needs no URL: it connects to nothing")
        show(script(arguments.role), end="")
        return
    if arguments.url is None:
        raise Failed("apply needs the URL of the database")
    new = make_schema(arguments.url, arguments.role)
    done = "made the schema asgi_push" if new else "the schema asgi_push is there already"
    show(done + (f"; {arguments.role} may use it" if arguments.role else ""))
