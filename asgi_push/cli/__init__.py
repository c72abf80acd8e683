"""The command line: ``asgi-push``, or ``python -m asgi_push``."""

import io
import sys
from collections.abc import Sequence

from asgi_push import PushError

from .failures import Failed
from .output import flushed
from .parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or 1 with one line on stderr that says why.

    Raises:
        SystemExit: with 2 if the command line cannot be understood, with 0 after ``--help``.
    """
    try:
        with flushed():
            _run(argv)
    except (Failed, PushError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as shells say it
    except BrokenPipeError:  # the reader of the output has enough, such as head
        return 1
    return 0


def _run(argv: Sequence[str] | None) -> None:
    arguments = make_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What clients publish may have letters that this terminal, or a pipe on Windows, has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments.run(arguments)
