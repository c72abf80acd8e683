"""Acknowledgements of event streams, whose clients send them by requests of their own.

A request may come to another process than the one that has the stream. So a stream is told an ack
token: the process, the session, and a proof that only that process can make. A session's id is no
proof, as others in its channels see it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from ..brokers import Broker
from ..brokers.process_messages import Told, tell
from ..connection import Connection
from ..protocols.sse import LastEventId
from ..registry import Registry
from ..subscription import Subscription
from .acknowledgements import Receipts

_PROOF_BYTES = 15


class StreamAcks:
    """Makes ack tokens, and takes what their holders confirm, in whichever process that is."""

    def __init__(
        self,
        registry: Registry[Connection, Subscription],
        receipts: Receipts,
        broker: Broker,
        told: Told,
    ) -> None:
        self._registry = registry
        self._receipts = receipts
        self._broker = broker
        self._key = secrets.token_bytes(32)
        told.handlers["stream_ack"] = self._on_told

    def token(self, session_id: str) -> str:
        """Return the ack token of a session of this process."""
        return f"{self._broker.process_id}.{session_id}.{self._proof(session_id)}"

    def _proof(self, session_id: str) -> str:
        digest = hashlib.blake2b(session_id.encode(), digest_size=_PROOF_BYTES, key=self._key)
        return base64.urlsafe_b64encode(digest.digest()).decode()

    async def acknowledge(self, token: str, last_event_id: str) -> None:
        """Have the process of an ack token take what its stream has; who lies is not heard.

        Raises:
            ValueError: the token is none.
            BrokerError: that process could not be told.
        """
        process_id, session_id, proof = _parts(token)
        ack = {"session": session_id, "proof": proof, "id": last_event_id}
        await tell(self._broker, process_id, "stream_ack", **ack)

    def _on_told(self, ack: Mapping[str, Any]) -> None:
        session = self._registry.get(ack["session"])
        if session is None or not hmac.compare_digest(ack["proof"], self._proof(session.id)):
            return
        last = LastEventId(ack["id"], len(session.subscriptions))
        for channel in list(session.subscriptions):
            if (position := last.position(channel)) is not None:
                self._receipts.acknowledge(session, channel, position)


def _parts(token: str) -> list[str]:
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise ValueError("ack: is not what the stream said")
    return parts
