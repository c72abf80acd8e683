"""What PostgreSQL can hold as a text: everything but the character U+0000."""

from ...errors import BrokerError


def can_be_stored(channel: str) -> bool:
    """Whether PostgreSQL can hold the name of a channel."""
    return "\0" not in channel


def stored(channel: str) -> str:
    """Return the name of a channel as PostgreSQL holds it.

    Raises:
        BrokerError: it cannot.
    """
    if not can_be_stored(channel):
        raise BrokerError("PostgreSQL: a channel's name cannot hold the character U+0000")
    return channel


def stored_key(idempotency_key: str | None) -> str | None:
    """Return an idempotency key as PostgreSQL holds it."""
    return None if idempotency_key is None else idempotency_key.replace("\0", "\ufffd")
