"""The commands, their arguments and their help."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asgi_push import __version__
from asgi_push.protocols import lossless_json

from .asyncapi import ASYNCAPI, asyncapi
from .commands import config, demo, drain, inbox, publish, send, sessions, watch, workers
from .postgres import POSTGRES, postgres
from .server import DEFAULT_URL

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction["_Parser"]  # argparse has no public name for it

_EPILOG = """\
commands that talk to a running application:
  send, publish, watch and inbox use the broker in ASGI_PUSH_BROKER, if that is
  one that processes share. Otherwise, or with --url, they use the HTTP API of a
  server. workers, sessions and drain always do. The server needs an api_key,
  and this command needs the same one in ASGI_PUSH_API_KEY. It is no argument,
  because other users of the machine can read arguments.

examples:
  asgi-push demo
  asgi-push send 11 '{"order": 7, "status": "shipped"}'
  asgi-push publish news '"closing in five minutes"'
  asgi-push workers
  asgi-push sessions --user 11
  asgi-push watch news
  asgi-push drain --over 30

exit codes:
  0  done
  1  the command failed; one line on stderr says why
  2  the arguments are wrong
"""

_DEMO = """\
Serve a page on which you open WebSockets, cut them, and push to them. It needs
the extra [demo].
"""

_CONFIG = """\
Print the settings in force, and where each value comes from: the application,
the environment, or the default. Secrets are masked. With APPLICATION this
command imports it, as a server does. Without it the settings are those of the
environment, which an application may override by keywords.
"""

_SEND = """\
Send to all sessions of one user. A user who is not there is no error.
"""

_PUBLISH = """\
Publish to the sessions that are subscribed to a channel, and into its history.
A user's channel is #USER, everybody's is *. Through a broker this command does
not know the namespaces of the application. If it has some, publish with --url.
"""

_WORKERS = """\
List the processes that share the broker of a server, with their sessions.
RUNNING is in seconds. With the broker memory:// it is the process that answers.
"""

_SESSIONS = """\
List the sessions of all processes that share the broker of a server, the oldest
first. With the broker memory:// they are those of the process that answers.
CONNECTED and SEEN are in seconds ago.
"""

_WATCH = """\
Print each new publication of a channel, until Ctrl+C: its offset, the time at
which the broker took it, and its data. This command reads the channel's
history. It sees nothing in a channel without history.
"""

_INBOX = """\
Print what was sent to a user with inbox=True and is not confirmed yet, each
after its id, the oldest first; or remove it, as if it were confirmed.
"""

_DRAIN = """\
Refuse new sessions, and close the open ones one by one, evenly over a time. So
their clients do not all come back at once. Return when all are closed. Without
--process this drains the process that answers, which with several workers may
be any of them. To stop a server set drain_timeout, and send it SIGTERM.
"""


_TARGET = "module:name, or module:name() of a function that makes it"


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
    _add_reading_commands(commands)
    _add_operating_commands(commands)
    return parser


def _add_local_commands(commands: "_Commands") -> None:
    command = _add_command(
        commands, demo, "serve a page to try it", _DEMO, ["asgi-push demo --port 8080"]
    )
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    command.add_argument(
        "--port", default=8000, type=int, help="port to listen on (default: %(default)s)"
    )

    examples = ["asgi-push config main:app", "ASGI_PUSH_PONG=echo asgi-push config --json"]
    command = _add_command(commands, config, "print the settings in force", _CONFIG, examples)
    command.add_argument(
        "application",
        metavar="APPLICATION",
        nargs="?",
        default="",
        help=_TARGET,
    )
    _add_common(command, url=False)

    examples = ["asgi-push asyncapi main:app --server https://example.org"]
    command = _add_command(commands, asyncapi, "describe the messages", ASYNCAPI, examples)
    command.add_argument("application", metavar="APPLICATION", help=_TARGET)
    command.add_argument(
        "--server",
        metavar="URL",
        default="http://localhost:8000",
        help="what clients connect to (default: %(default)s)",
    )


def _add_publishing_commands(commands: "_Commands") -> None:
    examples = [
        "asgi-push send 11 '{\"order\": 7}'",
        "asgi-push send 11 '\"a text\"' --url https://example.org/push",
        "asgi-push send 11 '{\"order\": 7}' --inbox --undelivered-after 30",
    ]
    command = _add_command(commands, send, "send to a user", _SEND, examples)
    command.add_argument("user", metavar="USER", help="the user's id")
    _add_data(command)
    _add_confirm(command)
    command.add_argument("--inbox", action="store_true", help="keep it until the user confirms it")
    command.add_argument(
        "--undelivered-after",
        type=float,
        metavar="SECONDS",
        help="call on_undelivered if nobody has confirmed it by then; needs --inbox",
    )
    _add_common(command)

    examples = [
        'asgi-push publish news \'{"title": "hello"}\'',
        "asgi-push publish '*' '\"closing in five minutes\"'",
    ]
    command = _add_command(commands, publish, "publish in a channel", _PUBLISH, examples)
    command.add_argument("channel", metavar="CHANNEL", help="1 to 255 bytes")
    _add_data(command)
    _add_confirm(command)
    _add_common(command)


def _add_reading_commands(commands: "_Commands") -> None:
    examples = ["asgi-push workers", "asgi-push workers --json"]
    command = _add_command(commands, workers, "list the processes of a server", _WORKERS, examples)
    _add_common(command)

    examples = [
        "asgi-push sessions --user 11",
        "asgi-push sessions --channel news --limit 1000 --json",
    ]
    command = _add_command(commands, sessions, "list the sessions of a server", _SESSIONS, examples)
    command.add_argument("--user", default="", help="only those of this user")
    command.add_argument("--channel", default="", help="only those in this channel")
    command.add_argument(
        "--limit", default=100, type=int, help="how many at most, to 10000 (default: %(default)s)"
    )
    _add_process(command, "only those of this process, by its name or id")
    _add_common(command)

    examples = ["asgi-push watch news", "asgi-push watch '#11' --json"]
    command = _add_command(
        commands, watch, "print what is published in a channel", _WATCH, examples
    )
    command.add_argument(
        "channel", metavar="CHANNEL", help="its name; #USER is a user's, * is everybody's"
    )
    _add_common(command)

    examples = ["asgi-push inbox 11", "asgi-push inbox 11 --clear"]
    command = _add_command(commands, inbox, "show or clear a user's inbox", _INBOX, examples)
    command.add_argument("user", metavar="USER", help="the user's id")
    command.add_argument("--clear", action="store_true", help="remove everything in it")
    _add_common(command)


def _add_operating_commands(commands: "_Commands") -> None:
    examples = [
        "asgi-push drain --over 30 --url http://127.0.0.1:8001/push",
        "asgi-push drain --process web-1_4711",
    ]
    command = _add_command(
        commands, drain, "close the sessions of a server's process, one by one", _DRAIN, examples
    )
    command.add_argument(
        "--over", type=float, metavar="SECONDS", help="default: the server's drain_timeout, or 10"
    )
    _add_process(command, "its name or id; see the command workers")
    _add_common(command)

    examples = [
        "asgi-push postgres print",
        "asgi-push postgres apply postgres://owner@localhost/shop --role shop",
    ]
    command = _add_command(
        commands, postgres, "create the schema of the broker postgres://", POSTGRES, examples
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


def _add_confirm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--confirm",
        type=float,
        metavar="SECONDS",
        help="wait up to so long for the sessions to confirm it",
    )


def _add_process(parser: argparse.ArgumentParser, about: str) -> None:
    parser.add_argument("--process", default="", metavar="NAME", help=about)


def _add_common(parser: argparse.ArgumentParser, *, url: bool = True) -> None:
    if url:
        parser.add_argument("--url", help=f"http_path of a running server (default: {DEFAULT_URL})")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _json(text: str) -> Any:
    try:
        # A byte that was no UTF-8 is a lone surrogate here, which cannot be encoded.
        return lossless_json.loads(text.encode().decode())
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; a text has quotes of its own: '\"hi\"'"
        ) from None
