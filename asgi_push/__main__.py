"""``python -m asgi_push``, also installed as ``asgi-push``."""

import argparse
import sys
from collections.abc import Sequence

from .errors import SettingsError
from .settings import PREFIX, describe


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, or 1 with one line that says what is wrong."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "demo":
        from .demo import run  # noqa: PLC0415  # wants the extra [demo]

        run(arguments.host, arguments.port)
        return 0
    return _config()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asgi-push", description="Real-time push for any ASGI application.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="serve a page on which to try it")
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    demo.add_argument("--port", default=8000, type=int, help="port to listen on (default: %(default)s)")
    commands.add_parser("config", help="print the settings in force, and where each value comes from")
    return parser


def _config() -> int:
    try:
        lines = describe()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    for line in lines:
        print(f"{PREFIX + line.name.upper():<32} {line.value:<14} {line.source:<12} {line.about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
