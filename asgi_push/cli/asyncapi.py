"""The command ``asyncapi``: the description of an application's messages."""

import argparse
import json

from asgi_push.asyncapi import describe

from .application import find_application
from .output import show

ASYNCAPI = """\
Print what clients are sent and may send, as an AsyncAPI 3 document: what
{http_path}/asyncapi.json shows where the setting asyncapi is on. This command
imports the application as a server does, and starts nothing.
"""


def asyncapi(arguments: argparse.Namespace) -> None:
    """Print the document of an application."""
    app, push = find_application(arguments.application)
    show(json.dumps(describe(push, server=arguments.server, app=app), indent=2))
