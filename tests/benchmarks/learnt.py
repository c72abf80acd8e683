"""What everybody gets the same, but what cannot all be told in advance: envelopes.

The channel, the id and the data of an envelope are known. The epoch in the id and the time are not. So the stream is
learnt, and verified to the last byte, from whichever connection has the most of it. The others are compared with that,
which costs them as little as a stream that was known.
"""

import re
from collections.abc import Sequence

from .crowd import Due, StreamError
from .frames import payloads, text_frame

_ENVELOPE = re.compile(rb'\{"channel":"\*","id":"(\d+)\.([\w%.~-]+)","time":\d+\.\d{3},"data":(.*)\}')


class LearntDue(Due):
    """What each connection will get, as far as it is known yet."""

    def __init__(self, first: int, data: Sequence[bytes], connections: int) -> None:
        self._stream = bytearray()
        super().__init__(first, [self._stream] * connections, [])
        self._data = data  # of the publications
        self._epoch = b""

    def total(self, published: int) -> int:
        """Return the bytes due to all together; -1 as long as nobody has had all."""
        return super().total(published) if published <= len(self.ends) else -1

    def learn(self, chunk: memoryview, place: int) -> bool:
        """Take a chunk at a place of the stream for what is due there; return False if it differs from what is known.

        Raises:
            StreamError: what is new is no envelope, or not the one that is due.
        """
        known = len(self._stream) - place
        if known > len(chunk) or self._stream[place:] != chunk[:known]:
            return False
        self._stream += chunk[known:]
        self._verify()
        return True

    def _verify(self) -> None:
        """Look at the frames that are whole now."""
        end = self.ends[-1] if self.ends else 0
        for message in payloads(bytes(self._stream[end:])):
            frame = text_frame(message)
            if not self._stream.startswith(frame, end) or not self._is_due(message):
                raise StreamError(f"not what is due after {len(self.ends)} publications: {message!r}")
            end += len(frame)
            self.ends.append(end)

    def _is_due(self, message: bytes) -> bool:
        """Whether a message is the next: its offset counts with its number, as nothing else is published."""
        place = len(self.ends)
        found = _ENVELOPE.fullmatch(message)
        if found is None or place == len(self._data):
            return False
        self._epoch = self._epoch or found[2]
        return found.groups() == (b"%d" % (self.first + place + 1), self._epoch, self._data[place])
