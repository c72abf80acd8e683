"""``local://``: the processes of one host share an engine. The first starts it, the last ends it.

The engine is a Valkey, or a Redis, on a Unix socket in a private directory. The broker over Redis
speaks to it.
"""
