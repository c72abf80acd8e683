"""Sessions of the SDK protocol: what a client asks, and what it is told, one command after the other."""
