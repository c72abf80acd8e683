"""What a Redis must allow. It is tried with names that nobody uses, before it is needed."""

import secrets
from collections.abc import Sequence
from typing import Any

from .connection import Command, Connection
from .health import reason
from .keys import Keys

# How many names are tried to find one on each node of a cluster.
_MOST_NAMES = 10_000

# How long the keys of an unfinished probe are kept, in milliseconds.
_KEPT = 5000


def channel_by_node(connection: Connection, keys: Keys) -> dict[str, str]:
    """Return a channel on each node that takes commands, by the name of the node."""
    channels: dict[str, str] = {}
    for _ in range(_MOST_NAMES):
        channel = secrets.token_hex(6)  # two processes must not use the same names
        channels.setdefault(connection.node(keys.key("position", channel)), channel)
        if len(channels) >= connection.nodes:
            break
    return channels


def pings(connection: Connection, keys: Keys) -> list[Command]:
    """Return one command for each node, which shows that it answers."""
    return [("EXISTS", keys.key("position", channel)) for channel in channel_by_node(connection, keys).values()]


def probes(connection: Connection, keys: Keys) -> list[Command]:
    """Return, for each node, every command that is used, in a harmless form.

    If Redis refuses a command of a script it does not say which. So they are sent one by one.
    """
    return [command for channel in channel_by_node(connection, keys).values() for command in _probes(keys, channel)]


def _probes(keys: Keys, channel: str) -> list[Command]:
    stream, position, mark, order = (keys.key(kind, channel) for kind in ("stream", "position", "result", "order"))
    return [
        ("EVAL", "return 1", 1, mark),
        ("SET", mark, "", "NX", "PX", _KEPT),
        ("GET", mark),
        ("EXISTS", mark),
        ("HSET", position, "e", ""),
        ("HGET", position, "e"),
        ("HMGET", position, "e"),
        ("HGETALL", position),
        ("HKEYS", position),
        ("HLEN", position),
        ("HINCRBY", position, "s", 1),
        ("PEXPIRE", position, _KEPT),
        ("PTTL", position),
        ("RPUSH", stream, ""),
        ("PEXPIRE", stream, _KEPT),
        ("LTRIM", stream, -1, -1),
        ("LLEN", stream),
        ("LRANGE", stream, 0, -1),
        ("ZADD", order, 1, ""),
        ("PEXPIRE", order, _KEPT),
        ("ZRANGEBYSCORE", order, 0, 1),
        ("ZREM", order, ""),
        ("ZREMRANGEBYSCORE", order, 0, 1),
        ("PUBLISH", keys.published(channel), ""),
        ("HDEL", position, "e"),
        ("DEL", mark),
        ("DEL", position),
        ("DEL", stream),
        ("DEL", order),
    ]


def refusals(commands: Sequence[Command], answers: Sequence[Any]) -> dict[str, Exception]:
    """Return the errors, by the names of the commands that were refused for that reason."""
    found: dict[str, tuple[Exception, dict[str, None]]] = {}
    for (name, *_), answer in zip(commands, answers, strict=True):
        if isinstance(answer, Exception):
            _, names = found.setdefault(reason(answer), (answer, {}))
            names[str(name)] = None
    return {", ".join(names): error for error, names in found.values()}
