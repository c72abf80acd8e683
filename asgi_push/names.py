"""Checks names, keys, tags and other text that callers give, the same for every broker. Pure.

Text is a ``str`` that UTF-8 can encode. A member of ``class Topic(str, Enum)`` is the text that it
holds: these functions return a plain ``str``, as subclasses hash, compare and print in other ways.
Nothing else is converted: for a UUID or an int they raise a ValueError that begins with the
argument's name.
"""

from collections.abc import Iterable, Mapping

EVERYBODY = "*"
USER_PREFIX = "#"

# Long enough for a UUID with a prefix and a name; bounds what one subscription can cost.
MAX_CHANNEL_BYTES = 255

# Offsets have 64 bits in the SDK protocol.
_MAX_OFFSET = 2**64 - 1


def plain(value: object) -> str | None:
    """Return text as a plain ``str``; None if it is no text.

    A lone surrogate is none, as neither JSON nor a WebSocket can carry it; ``json.loads`` makes one
    of ``"\\ud800"``.
    """
    if not isinstance(value, str):
        return None
    found = str.__str__(value)
    try:
        found.encode()
    except UnicodeEncodeError:
        return None
    return found


def check_text(name: str, value: object) -> str:
    """Return text as a plain ``str``; raise ValueError if it is empty or no text."""
    found = plain(value)
    if not found:
        raise ValueError(f"{name}: must be text that is not empty, not {value!r:.80}")
    return found


def user_channel(user: str) -> str:
    """Return the name of a user's own channel; raise ValueError without a user."""
    if not user:
        raise ValueError("user: must not be empty")
    return USER_PREFIX + user


def own_channels(user: str, *, everybody: bool) -> list[str]:
    """Return the channels that each session of a user is in, and never leaves."""
    own = [user_channel(user)] if user else []
    return [EVERYBODY, *own] if everybody else own


def user_of(channel: str) -> str | None:
    """Return the user whose own channel this is; None for other channels."""
    return channel[len(USER_PREFIX) :] if channel.startswith(USER_PREFIX) else None


def check_channel(channel: object, name: str = "channel") -> str:
    """Return the name of a channel as a plain ``str``; raise ValueError if it cannot be one."""
    if type(channel) is str and channel.isascii() and 0 < len(channel) <= MAX_CHANNEL_BYTES:
        return channel  # nearly all are like this, and need no encoding to be measured
    found = plain(channel)
    if not found or len(found.encode()) > MAX_CHANNEL_BYTES:
        raise ValueError(
            f"{name}: must be text of 1 to {MAX_CHANNEL_BYTES} bytes, not {channel!r:.80}"
        )
    return found


def check_own_channel(channel: object) -> str:
    """Return the name of an application's channel; raise ValueError for a user's or everybody's."""
    found = check_channel(channel)
    if found == EVERYBODY or found.startswith(USER_PREFIX):
        raise ValueError(
            f"channel: {found!r:.80} belongs to everybody or to one user; "
            "name a channel of your own"
        )
    return found


def check_user(user: object) -> str:
    """Return a user's id as a plain ``str``; raise ValueError if it cannot be one."""
    if type(user) is str and user.isascii() and 0 < len(user) < MAX_CHANNEL_BYTES:
        return user
    found = plain(user)
    if not found or len(found.encode()) >= MAX_CHANNEL_BYTES:
        raise ValueError(
            f"user: must be text of 1 to {MAX_CHANNEL_BYTES - 1} bytes, not {user!r:.80}"
        )
    return found


def check_user_channel(user: object) -> str:
    """Return the name of a user's own channel; raise ValueError as ``check_user``. A hot path."""
    if type(user) is str and user.isascii() and 0 < len(user) < MAX_CHANNEL_BYTES:
        return USER_PREFIX + user
    return USER_PREFIX + check_user(user)


def check_several(name: str, values: object) -> list[object]:
    """Return several names as a list; raise ValueError for one ``str``, which iterates letters."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: must be several names, not {values!r:.80}")
    return list(values)


def check_tags(tags: object) -> dict[str, str] | None:
    """Return a copy of the tags as a dict of plain ``str``; None if there are none.

    Raises:
        ValueError: a name or a value is no text.
    """
    if tags is None:
        return None
    if not isinstance(tags, Mapping):
        raise ValueError(f"tags: must be text by name, not {tags!r:.80}")
    found = {}
    for key, value in tags.items():
        name = plain(key)
        text = plain(value)
        if name is None or text is None:
            raise ValueError(f"tags: names and values must be text, not {key!r:.80}: {value!r:.80}")
        found[name] = text
    return found or None


def check_position(since: object) -> tuple[int, str]:
    """Return offset and epoch of a position in a stream; raise ValueError if it is none."""
    if isinstance(since, tuple) and len(since) == 2:
        offset = since[0]
        epoch = plain(since[1])
        whole = isinstance(offset, int) and not isinstance(offset, bool)
        if whole and 0 <= offset <= _MAX_OFFSET and epoch is not None:
            return int(offset), epoch
    raise ValueError(
        "since: must be a StreamPosition of an offset of at least 0 and an epoch, "
        f"not {since!r:.80}"
    )
