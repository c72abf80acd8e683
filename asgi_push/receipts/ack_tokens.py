"""Acknowledgements of event streams, whose clients send them by requests of their own.

The request may reach another process than the one that holds the stream. So each stream gets an ack
token. It names the process and the session, and has a proof that only that process can make. The
session's id is no proof, as others in its channels see it.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any

from ..brokers import Broker
from ..brokers.process_messages import ProcessMessages, tell
from ..connection import Connection
from ..protocols.sse import LastEventId
from ..registry import Registry
from ..subscription import Subscription
from .acknowledgements import Acknowledgements

_PROOF_BYTES = 15

# A process, a session and a proof. Whoever sends a token chooses what it says, and a broker may not
# be able to address anything else: PostgreSQL would refuse what is told to others with it, too.
_TOKEN = re.compile(r"([\w-]{1,32})\.([\w-]{1,32})\.([\w=-]{0,32})", re.ASCII)


class AckTokens:
    """Makes ack tokens, and takes acknowledgements by token, for the streams of any process."""

    def __init__(
        self,
        registry: Registry[Connection, Subscription],
        acknowledgements: Acknowledgements,
        broker: Broker,
        messages: ProcessMessages,
    ) -> None:
        self._registry = registry
        self._acknowledgements = acknowledgements
        self._broker = broker
        self._key = secrets.token_bytes(32)
        messages.handlers["stream_ack"] = self._on_acknowledged

    def make(self, session_id: str) -> str:
        """Return the ack token of a session of this process."""
        return f"{self._broker.process_id}.{session_id}.{self._proof(session_id)}"

    def _proof(self, session_id: str) -> str:
        digest = hashlib.blake2b(session_id.encode(), digest_size=_PROOF_BYTES, key=self._key)
        return base64.urlsafe_b64encode(digest.digest()).decode()

    async def acknowledge(self, token: str, last_event_id: str) -> None:
        """Pass an acknowledgement on to the process that made the token.

        It is dropped there if the proof is wrong or the stream has ended.

        Raises:
            ValueError: the token has not the form of one.
            BrokerError: that process could not be told.
        """
        process_id, session_id, proof = _parts(token)
        ack = {"session": session_id, "proof": proof, "id": last_event_id}
        await tell(self._broker, process_id, "stream_ack", **ack)

    def _on_acknowledged(self, ack: Mapping[str, Any]) -> None:
        session = self._registry.get(ack["session"])
        if session is None or not hmac.compare_digest(ack["proof"], self._proof(session.id)):
            return
        last = LastEventId(ack["id"], len(session.subscriptions))
        for channel in list(session.subscriptions):
            if (position := last.position(channel)) is not None:
                self._acknowledgements.acknowledge(session, channel, position)


def _parts(token: str) -> tuple[str, str, str]:
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ValueError("ack: is not what the stream said")
    return found[1], found[2], found[3]
