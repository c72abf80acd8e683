"""The names of everything in Redis."""

import hashlib


class Keys:
    """Names with a prefix. In a cluster all names of one channel are on one node, by a hash tag.

    ``database`` is part of the names for publishing: Redis has them in common for all databases.
    """

    def __init__(self, prefix: str, database: int) -> None:
        self._prefix = prefix
        self._published = f"{prefix}:{database}:channel:{{."
        self._process = f"{prefix}:{database}:process:"

    def key(self, kind: str, channel: str) -> str:
        """Return the key of one thing that is kept for a channel."""
        # The dot is for channels that begin with a brace: an empty hash tag does not count.
        return f"{self._prefix}:{kind}:{{.{channel}}}"

    def result(self, channel: str, idempotency_key: str) -> str:
        """Return the key of the result of a publication. All have an end of the same length."""
        digest = hashlib.blake2b(idempotency_key.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return f"{self.key('result', channel)}:{digest}"

    def published(self, channel: str) -> bytes:
        """Return the name that a channel is published to: one node of a cluster does it."""
        return f"{self._published}{channel}}}".encode()

    def process(self, process_id: str) -> bytes:
        """Return the name that is published to for one process alone."""
        return f"{self._process}{process_id}".encode()

    def channel(self, published: bytes) -> str:
        """Return the channel of a name that `published` returned."""
        return published.decode()[len(self._published) : -1]
