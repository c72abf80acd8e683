"""What is compressed for several receivers, and for how long it is kept."""

from ..protocols import Deflate
from ..protocols.blocks import Blocks
from ..protocols.deflate import can_compress
from ..settings import Settings


class Compression:
    """Compresses frames once for all receivers with a window of one size.

    Attributes:
        frames: what was compressed lately for WebSockets; each run of the fan-out forgets it at its
            end.
        pieces: the same for event streams.
        blocks: the parts of messages that clients which come back are sent, whatever carries them.
    """

    __slots__ = ("_by_window", "_on", "blocks", "frames", "pieces")

    def __init__(self, settings: Settings) -> None:
        self.frames: dict[tuple[int, bytes], bytes] = {}
        self.pieces: dict[bytes, list[tuple[bytes, bytes]]] = {}
        self.blocks = Blocks()
        self._on = settings.compression == "auto"
        self._by_window: dict[int, Deflate] = {}

    def for_window(self, window_bits: int) -> Deflate | None:
        """Return what compresses for a window, always the same; None if nothing does."""
        if not self._on or not can_compress(window_bits):
            return None
        if window_bits not in self._by_window:
            self._by_window[window_bits] = Deflate(window_bits, self.frames, self.blocks)
        return self._by_window[window_bits]
