"""The numbers of one process. To count is to add to an int: once a run, a session or a call, never once a delivery."""

from bisect import bisect_left
from collections import defaultdict

from ..disconnect import Disconnect

# Upper bounds of the buckets, in seconds: from what one session costs to what a client gives up after.
BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

# What a broker is asked for, and how long that takes; ``leave`` waits for nothing.
OPERATIONS = ("publish", "announce", "history", "recover", "remove_history", "command", "join")


# Where something can fail that ends nothing else, see ``hub.failures``.
FAILURES = ("delivery", "hook", "publication", "task", "timer")


class Histogram:
    """How often something took how long: a count for each bucket, the last one for all above ``BOUNDS``."""

    __slots__ = ("_longest", "counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self._longest = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        if seconds > self._longest:
            self._longest = seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def take_longest(self) -> float:
        """Return the longest since this was last asked."""
        longest, self._longest = self._longest, 0.0
        return longest


class Counters:
    """All numbers of one process since it started; each attribute is a metric of the same name (see ``families``).

    A dictionary holds a number for each value of the metric's labels.
    """

    __slots__ = (
        "broker",
        "broker_errors",
        "broker_outages",
        "broker_up",
        "channels",
        "connects",
        "deliveries",
        "disconnects",
        "drops",
        "failures",
        "fanout",
        "fanout_hold",
        "gaps",
        "heartbeat_round_trip",
        "publications",
        "published",
        "queue_bytes",
        "recoveries",
        "sessions",
    )

    def __init__(self) -> None:
        self.sessions: defaultdict[tuple[str, str], int] = defaultdict(int)  # by protocol and transport
        self.connects: defaultdict[tuple[str, str], int] = defaultdict(int)
        # What can be named in advance begins at 0: a rate that begins with the first event never sees that one.
        self.disconnects = dict.fromkeys(Disconnect.LABELS, 0)
        self.published = 0
        self.publications = 0
        self.deliveries = 0
        self.drops = {"drop_oldest": 0, "drop_newest": 0}
        self.recoveries = {"recovered": 0, "unrecoverable": 0}
        self.gaps = 0
        self.failures = dict.fromkeys(FAILURES, 0)
        self.fanout = Histogram()
        self.fanout_hold = Histogram()
        self.heartbeat_round_trip = Histogram()
        self.broker = {operation: Histogram() for operation in OPERATIONS}
        self.broker_errors = dict.fromkeys(OPERATIONS, 0)
        # Looked up when somebody wants to know.
        self.channels = 0
        self.queue_bytes = 0
        self.broker_up = 1
        self.broker_outages: dict[str, int] = {}
