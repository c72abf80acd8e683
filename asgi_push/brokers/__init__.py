"""Brokers carry publications between processes, and keep the histories and members of channels."""

from .contract import (
    IDEMPOTENCY_TTL,
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
from .health import OUTAGES

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
