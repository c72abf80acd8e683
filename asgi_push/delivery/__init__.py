"""The delivery of publications to the transports of sessions: the hot path.

``fanout`` writes to a session at once where its transport allows it: ``transports.direct_writes``.
Else the session's queue takes the messages, and ``writers`` sends them.
"""
