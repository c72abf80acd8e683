"""Where a hub runs: on the caller's event loop, or on one in a thread of its own."""
