"""The clock. Pure modules do not read it: they take the time as a parameter.

Tests set it here, in one place: ``monkeypatch.setattr(clock, "monotonic", lambda: 42.0)``. So call
``clock.monotonic()``; do not import the function.
"""

import time

# Seconds that only grow, from an arbitrary start: for measuring and for waiting.
monotonic = time.monotonic

# Seconds since 1970, which may be set back: for what others are told, and for tokens.
now = time.time
