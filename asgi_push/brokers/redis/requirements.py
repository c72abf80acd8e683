"""What a Redis must allow, and be: tried with names that nobody uses, before it is needed."""

import secrets
from collections.abc import Sequence
from typing import Any

from .connection import Connection
from .health import reason
from .joined import Command
from .keys import Keys

# Names that are looked at to find one on each node of a cluster.
_MOST_NAMES = 10_000

# How long what a probe writes is kept if its end is not reached, in milliseconds.
_KEPT = 5000


def channel_by_node(connection: Connection, keys: Keys) -> dict[str, str]:
    """Return a channel on each node that takes commands, by the node; none while none is known."""
    channels: dict[str, str] = {}
    if not connection.nodes:
        return channels
    for _ in range(_MOST_NAMES):
        channel = secrets.token_hex(6)  # two processes that try at once must not meet
        channels.setdefault(connection.node(keys.key("position", channel)), channel)
        if len(channels) >= connection.nodes:
            break
    return channels


def pings(connection: Connection, keys: Keys) -> list[Command]:
    """Return one command for each node, by which it is seen that it answers."""
    return [
        ("EXISTS", keys.key("position", channel))
        for channel in channel_by_node(connection, keys).values()
    ]


def probes(connection: Connection, keys: Keys) -> list[Command]:
    """Return each command that is used, for each node, with what does no harm.

    Redis does not say which command of a script it refuses; of one that is sent by itself it does.
    """
    return [
        command
        for channel in channel_by_node(connection, keys).values()
        for command in _probes(keys, channel)
    ]


def _probes(keys: Keys, channel: str) -> list[Command]:
    stream, position, mark, order = (
        keys.key(kind, channel) for kind in ("stream", "position", "result", "order")
    )
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
    """Return why something was refused, by what was refused for the same reason."""
    found: dict[str, tuple[Exception, dict[str, None]]] = {}
    for (name, *_), answer in zip(commands, answers, strict=True):
        if isinstance(answer, Exception):
            _, names = found.setdefault(reason(answer), (answer, {}))
            names[str(name)] = None
    return {", ".join(names): error for error, names in found.values()}
