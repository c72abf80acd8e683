"""The delivery of publications to the transports of sessions: the hot path."""
