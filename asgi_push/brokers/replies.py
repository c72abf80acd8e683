"""What processes reply to commands, and what they tell each other: bounded, and as one message."""

from ..errors import BrokerError
from .contract import MAX_REPLY_BYTES, MAX_TOLD_BYTES


def checked_reply(reply: bytes) -> bytes:
    """Return a reply to a command; ValueError if it is too long."""
    if len(reply) > MAX_REPLY_BYTES:
        raise ValueError(f"a reply of {len(reply)} bytes; at most {MAX_REPLY_BYTES} may be")
    return reply


def check_told(message: bytes) -> None:
    """Raise BrokerError if this is too long to be told to a process."""
    if len(message) > MAX_TOLD_BYTES:
        raise BrokerError(f"{len(message)} bytes for a process; at most {MAX_TOLD_BYTES} may be")


def done_message(name: bytes, process_id: bytes, reply: bytes | None) -> bytes:
    """Return how a process says that it has carried out the command of a name."""
    said = b"done:%b:%b" % (name, process_id)
    return said if reply is None else b"%b:%b" % (said, reply)


def parse_done(arguments: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return the command, the process and its reply, of what follows ``done:``."""
    name, process_id, *reply = arguments.split(b":", 2)
    return name, process_id, reply[0] if reply else None
