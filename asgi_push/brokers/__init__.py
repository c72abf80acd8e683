"""What carries publications between processes, keeps their history, and knows who is in a channel."""

from .contract import (
    IDEMPOTENCY_TTL,
    OUTAGES,
    ApplyControl,
    Broker,
    Deliver,
    Evict,
    Lost,
    PresenceStore,
    Receiver,
    StreamOptions,
    WaitCapacity,
    Watched,
    present,
)

__all__ = [
    "IDEMPOTENCY_TTL",
    "OUTAGES",
    "ApplyControl",
    "Broker",
    "Deliver",
    "Evict",
    "Lost",
    "PresenceStore",
    "Receiver",
    "StreamOptions",
    "WaitCapacity",
    "Watched",
    "present",
]
