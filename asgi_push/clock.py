"""The clock of everything above the pure floors, which take the time as a parameter.

Tests set it here, in one place: ``monkeypatch.setattr(clock, "monotonic", lambda: 42.0)``. Call both
by the module's name, never imported from it.
"""

import time

# Seconds that only grow, from no particular beginning: for everything that is measured or awaited.
monotonic = time.monotonic

# Seconds since 1970, which can be set back: for what is told to others, and for the times of tokens.
now = time.time
