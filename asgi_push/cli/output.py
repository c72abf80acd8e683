"""What commands print to stdout. That it cannot be written is one line on stderr."""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from asgi_push.protocols import lossless_json

from .failures import Failed

_NOT_ASCII = re.compile(r"[^ -~]")


def show(text: str, end: str = "\n") -> None:
    """Print to stdout, and not later.

    Raises:
        Failed: it cannot be written, as the disk is full for instance.
        BrokenPipeError: its reader has gone.
    """
    with _writing():
        print(text, end=end, flush=True)


def show_json(value: Any) -> None:
    """Print JSON in one line, in ASCII, which any terminal and any pipe can take."""
    show(_NOT_ASCII.sub(_escaped, to_json(value)))


def to_json(value: Any) -> str:
    """Return what ``lossless_json`` decoded as JSON, with its numbers as they were written.

    Raises:
        ValueError: it is nested too deeply.
    """
    return lossless_json.dumps(value).decode()


@contextmanager
def flushed() -> Iterator[None]:
    """Flush stdout at the end; the errors are those of ``show``.

    What the parser prints, or an application that is imported, is still in the buffer.
    """
    try:
        yield
    finally:
        if sys.stdout is not None:  # as it is without a file descriptor 1
            with _writing():
                sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _discard_the_rest()
        if isinstance(error, BrokenPipeError):
            raise
        raise Failed(f"the output cannot be written: {error.strerror or error}") from None


def _discard_the_rest() -> None:
    """Let stdout lead to nowhere: Python flushes it once more at its end, and says what fails."""
    with suppress(io.UnsupportedOperation):  # it is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _escaped(letter: re.Match[str]) -> str:
    utf16 = letter[0].encode("utf-16-be")
    return "".join(f"\\u{utf16[at : at + 2].hex()}" for at in range(0, len(utf16), 2))
