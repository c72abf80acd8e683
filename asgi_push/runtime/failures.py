"""What fails without ending anything else: counted, and said in the log."""

import logging

from .. import clock
from ..logs import RateLimit
from ..metrics.counters import Counters

# Seconds between two log lines that say the same; each line says how many were held back.
_QUIET = 1.0


class Failures:
    """Counts failures by where they are, and logs each with its traceback, but not the same one again and again."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._quiet = RateLimit(_QUIET)

    def count(self, where: str) -> None:
        """Count a failure that is logged elsewhere; ``where`` is a label of the metric ``failures``."""
        self._counters.failures[where] += 1

    def report(self, where: str, error: BaseException, what: str, whose: str = "") -> None:
        """Count a failure and log it: ``what`` failed, and ``whose`` it was, such as " for session 7"."""
        self.count(where)
        now = clock.monotonic()
        key = f"{what} {type(error).__qualname__}"
        self._quiet.log(logging.ERROR, now, "%s failed%s", what, whose, key=key, exc_info=error)
