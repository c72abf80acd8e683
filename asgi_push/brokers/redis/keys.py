"""The names of everything that is kept in Redis."""

import hashlib


class Keys:
    """Names below a prefix. A channel's names share a hash tag: a cluster keeps them on one node.

    ``database`` is part of the names that are published to: Redis has one space of those for all
    its databases.
    """

    def __init__(self, prefix: str, database: int) -> None:
        self._prefix = prefix
        self._published = f"{prefix}:{database}:channel:{{."
        self._process = f"{prefix}:{database}:process:"

    def key(self, kind: str, channel: str) -> str:
        """Return the name of one thing that is kept of a channel."""
        # The dot is for names that begin with a brace: an empty tag is none.
        return f"{self._prefix}:{kind}:{{.{channel}}}"

    def result(self, channel: str, idempotency_key: str) -> str:
        """Return the name of a publication's result.

        All ends are of one length, so that no two names are the same.
        """
        digest = hashlib.blake2b(
            idempotency_key.encode(errors="surrogatepass"), digest_size=16
        ).hexdigest()
        return f"{self.key('result', channel)}:{digest}"

    def shared(self, kind: str) -> str:
        """Return the name of one thing that is kept once, and not for each channel."""
        return f"{self._prefix}:{kind}"

    def published(self, channel: str) -> bytes:
        """Return the name that a channel's publications are published to.

        One node of a cluster publishes them, in one order.
        """
        return f"{self._published}{channel}}}".encode()

    def process(self, process_id: str) -> bytes:
        """Return where to publish what is for one process."""
        return f"{self._process}{process_id}".encode()

    def channel(self, published: bytes) -> str:
        """Return the channel of such a name."""
        return published.decode()[len(self._published) : -1]
