"""The metrics of one process, counted.

Counting adds to a number: once for a run, a session or a call, never once for each delivery.
"""

from bisect import bisect_left

from ..disconnect import Disconnect

# Upper bounds of the buckets, in seconds: from what one session costs to the time after which a
# client gives up.
BOUNDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)

# The protocol and the transport of each kind of session.
KINDS = (("plain", "websocket"), ("centrifuge", "websocket"), ("sse", "sse"))

# How a session's messages are written: to the server's transport, or by ASGI.
WRITES = ("direct", "ordinary")

# Requests to a broker that are timed. ``leave`` is not one: nothing waits for it.
OPERATIONS = (
    "publish",
    "announce",
    "history",
    "recover",
    "remove_history",
    "command",
    "tell",
    "join",
)

# What becomes of the acknowledgements of clients (see ``receipts.acknowledgements``).
ACKNOWLEDGEMENTS = ("taken", "not_subscribed", "no_position", "other_epoch", "not_sent")

# What becomes of the answers of clients (see ``questions.responder``).
ANSWERS = ("taken", "late", "not_asked")

# Where something can fail without ending anything else (see ``runtime.failures``).
FAILURES = ("delivery", "hook", "publication", "task", "timer")


class Histogram:
    """How often something took how long: a count for each of ``BOUNDS``, and one for longer."""

    __slots__ = ("_longest", "counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0  # in seconds
        self._longest = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        if seconds > self._longest:
            self._longest = seconds

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def take_longest(self) -> float:
        """Return the longest duration since the last call, in seconds."""
        longest = self._longest
        self._longest = 0.0
        return longest


class Counters:
    """All metrics of one process since it started; each attribute is one (see ``families``).

    A dictionary holds one number for each value of the metric's labels.
    """

    __slots__ = (
        "acknowledgements",
        "answers",
        "broker",
        "broker_errors",
        "broker_outages",
        "broker_up",
        "channels",
        "confirmation",
        "connects",
        "deliveries",
        "disconnects",
        "drops",
        "failures",
        "fanout",
        "fanout_hold",
        "gaps",
        "heartbeat_round_trip",
        "inbox",
        "publications",
        "published",
        "queue_bytes",
        "recoveries",
        "sessions",
        "undelivered",
    )

    def __init__(self) -> None:
        # Labels that are known in advance begin at 0: Prometheus sees no rate in the first event of
        # a label that was not there before.
        self.sessions = {(*kind, writes): 0 for kind in KINDS for writes in WRITES}
        self.connects = dict.fromkeys(KINDS, 0)
        self.disconnects = dict.fromkeys(Disconnect.LABELS, 0)
        self.published = 0
        self.publications = 0
        self.deliveries = 0
        self.drops = {"drop_oldest": 0, "drop_newest": 0}
        self.recoveries = {"recovered": 0, "unrecoverable": 0}
        self.gaps = 0
        self.answers = dict.fromkeys(ANSWERS, 0)
        self.acknowledgements = dict.fromkeys(ACKNOWLEDGEMENTS, 0)
        self.failures = dict.fromkeys(FAILURES, 0)
        self.inbox = {"kept": 0, "confirmed": 0, "cleared": 0, "dropped": 0}
        self.undelivered = {"called": 0, "failed": 0, "given_up": 0}
        self.fanout = Histogram()
        self.fanout_hold = Histogram()
        self.heartbeat_round_trip = Histogram()
        self.confirmation = Histogram()
        self.broker = {operation: Histogram() for operation in OPERATIONS}
        self.broker_errors = dict.fromkeys(OPERATIONS, 0)
        # These are set when somebody asks (see ``hub.stats``).
        self.channels = 0
        self.queue_bytes = 0
        self.broker_up = 1
        self.broker_outages: dict[str, int] = {}
