"""The HTTP API: what applications do with push, for any client that can POST JSON."""
