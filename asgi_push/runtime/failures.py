"""Failures that end nothing else: they are counted and logged."""

import logging

from .. import clock
from ..logs import RateLimit
from ..metrics.counters import Counters

# The time between two log lines of one kind, in seconds.
_QUIET = 1.0


class Failures:
    """Counts failures by their place, and logs each kind with its traceback, but not too often."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._quiet = RateLimit(_QUIET)

    def count(self, where: str) -> None:
        """Count a failure that is logged elsewhere.

        Args:
            where: a label of the metric ``failures``.
        """
        self._counters.failures[where] += 1

    def report(self, where: str, error: BaseException, what: str, whose: str = "") -> None:
        """Count a failure and log it.

        Args:
            where: a label of the metric ``failures``.
            error: the cause.
            what: what failed.
            whose: to whom it belongs, such as " for session 7".
        """
        self.count(where)
        now = clock.monotonic()
        key = f"{what} {type(error).__qualname__}"
        self._quiet.log(logging.ERROR, now, "%s failed%s", what, whose, key=key, exc_info=error)
