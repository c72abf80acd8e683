"""The commands, their arguments and their help."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from asgi_push import __version__

from .commands import config, demo, drain, publish, send, sessions, watch
from .postgres import postgres
from .server import DEFAULT_URL

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction["_Parser"]  # argparse has no public name for it

_EPILOG = """\
commands that speak to a running application:
  send, publish and watch go through the Redis or the PostgreSQL of
  ASGI_PUSH_BROKER if that is set to one. Without, or with --url, they ask a
  server over its HTTP API, as sessions and drain always do. The server needs
  an api_key, and this command the same one in ASGI_PUSH_API_KEY. It is not
  taken from the command line, which other users of the machine can read.

examples:
  asgi-push demo
  asgi-push send 11 '{"order": 7, "status": "shipped"}'
  asgi-push publish news '"closing in five minutes"'
  asgi-push sessions --user 11
  asgi-push watch news
  asgi-push drain --over 30

exit codes:
  0  done
  1  it could not be done; one line on stderr says why
  2  the command line cannot be understood
"""

_DEMO = """\
Serve a page on which to open, cut and push into WebSockets. It needs the
extra [demo].
"""

_CONFIG = """\
Print the settings in force, and where each value comes from; secrets are
masked.
"""

_SEND = """\
Send to all sessions of one user. A user who is not there is no error.
"""

_PUBLISH = """\
Publish to the sessions that are in a channel, and into its history. The
channel of a user is #USER, that of everybody is *. Through Redis or PostgreSQL
the options that an application gave its channels in code (namespaces) are not
known: where there are some, publish with --url.
"""

_SESSIONS = """\
List the sessions of the process that answers, the oldest first. With several
workers that is any one of them. CONNECTED and SEEN are seconds ago.
"""

_WATCH = """\
Print each publication of a channel as it comes, after its offset and the
time at which the broker took it, until Ctrl+C. It is read from the channel's
history: of a channel that keeps none nothing can be seen.
"""

_DRAIN = """\
Refuse new sessions from now on and close those that there are, spread evenly
over a time, so that their clients do not all come back at once; return when
that is done. It is about the process that answers: with several workers set
drain_timeout and stop the server by SIGTERM.
"""


_POSTGRES = """\
For the broker postgres://: print the SQL that makes the schema asgi_push, or
make it in a database, where a schema that is there is left alone. An
application makes it by itself if it may; this is for one that may not, and
--role gives that what it needs. A password is better in PGPASSWORD or in
~/.pgpass than in the URL, which other users of the machine can read.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser. The arguments that it returns have ``run``, which is called with them."""
    parser = _Parser(
        prog="asgi-push", description="Real-time push for any ASGI application.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"asgi-push {__version__}")
    commands: _Commands = parser.add_subparsers(
        required=True, metavar="command", parser_class=_Parser
    )
    _add_local_commands(commands)
    _add_publishing_commands(commands)
    _add_operating_commands(commands)
    return parser


def _add_local_commands(commands: "_Commands") -> None:
    command = _add_command(
        commands, demo, "serve a page on which to try it", _DEMO, ["asgi-push demo --port 8080"]
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    command.add_argument(
        "--port", default=8000, type=int, help="port to listen on (default: %(default)s)"
    )

    examples = ["asgi-push config", "ASGI_PUSH_PONG=echo asgi-push config"]
    command = _add_command(commands, config, "print the settings in force", _CONFIG, examples)
    _add_common(command, url=False)


def _add_publishing_commands(commands: "_Commands") -> None:
    examples = [
        "asgi-push send 11 '{\"order\": 7}'",
        "asgi-push send 11 '\"a text\"' --url https://example.org/push",
    ]
    command = _add_command(commands, send, "send to a user", _SEND, examples)
    command.add_argument("user", metavar="USER", help="the user's id")
    _add_data(command)
    _add_common(command)

    examples = [
        'asgi-push publish news \'{"title": "hello"}\'',
        "asgi-push publish '*' '\"closing in five minutes\"'",
    ]
    command = _add_command(commands, publish, "publish in a channel", _PUBLISH, examples)
    command.add_argument("channel", metavar="CHANNEL", help="1 to 255 bytes")
    _add_data(command)
    _add_common(command)


def _add_operating_commands(commands: "_Commands") -> None:
    examples = [
        "asgi-push sessions --user 11",
        "asgi-push sessions --channel news --limit 1000 --json",
    ]
    command = _add_command(
        commands, sessions, "list the sessions of a server's process", _SESSIONS, examples
    )
    command.add_argument("--user", default="", help="only those of this user")
    command.add_argument("--channel", default="", help="only those in this channel")
    command.add_argument(
        "--limit", default=100, type=int, help="how many at most, to 10000 (default: %(default)s)"
    )
    _add_common(command)

    examples = ["asgi-push watch news", "asgi-push watch '#11' --json"]
    command = _add_command(
        commands, watch, "print what is published in a channel", _WATCH, examples
    )
    command.add_argument(
        "channel", metavar="CHANNEL", help="its name; #USER is a user's, * is everybody's"
    )
    _add_common(command)

    examples = ["asgi-push drain", "asgi-push drain --over 30 --url http://127.0.0.1:8001/push"]
    command = _add_command(
        commands, drain, "send the sessions of a server's process away", _DRAIN, examples
    )
    command.add_argument(
        "--over", type=float, metavar="SECONDS", help="default: the server's drain_timeout, or 10"
    )
    _add_common(command)

    examples = [
        "asgi-push postgres print",
        "asgi-push postgres apply postgres://owner@localhost/shop --role shop",
    ]
    command = _add_command(
        commands, postgres, "make the schema of the broker postgres://", _POSTGRES, examples
    )
    command.add_argument("action", choices=["print", "apply"], help="print the SQL, or run it")
    command.add_argument("url", metavar="URL", nargs="?", help="of the database, for apply")
    command.add_argument("--role", help="a role that the application connects as")


def _add_command(
    commands: "_Commands",
    run: Callable[[argparse.Namespace], None],
    short: str,
    about: str,
    examples: list[str],
) -> "_Parser":
    lines = "".join(f"  {example}\n" for example in examples)
    command = commands.add_parser(
        run.__name__, help=short, description=about, epilog=f"examples:\n{lines}"
    )
    command.set_defaults(run=run)
    return command


class _Parser(argparse.ArgumentParser):
    """A parser whose help keeps its lines, at most 80 characters wide on any terminal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, **options)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="JSON",
        type=_json,
        help="what to send; a text has quotes of its own: '\"hi\"'",
    )


def _add_common(parser: argparse.ArgumentParser, *, url: bool = True) -> None:
    if url:
        parser.add_argument("--url", help=f"http_path of a running server (default: {DEFAULT_URL})")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; a text has quotes of its own: '\"hi\"'"
        ) from None
