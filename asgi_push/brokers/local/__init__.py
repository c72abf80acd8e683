"""``local://``: the processes of one host share an engine, which the first starts and the last ends.

The engine is a Valkey, or a Redis, on a Unix socket in a private directory; the broker over Redis speaks to it.
"""
