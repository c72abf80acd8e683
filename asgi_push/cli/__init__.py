"""The command line: ``asgi-push``, or ``python -m asgi_push``."""

import sys
from collections.abc import Sequence

from asgi_push import PushError

from .failures import Failed
from .parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, or 1 with one line on stderr that says what is wrong.

    Raises:
        SystemExit: with 2 where the command cannot be understood, and with 0 after ``--help``.
    """
    arguments = make_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (Failed, PushError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # what shells make of it
    except BrokenPipeError:  # what reads our output has enough, such as head
        sys.stderr.close()
        return 1
    return 0
