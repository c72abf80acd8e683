"""What a name, a key, a tag and any other text may be, whoever gives it: one place, the same for every broker. Pure.

Text is a ``str`` that has a form in UTF-8. A member of ``class Topic(str, Enum)`` is the text that it holds: what these
functions return is always a plain ``str``, as other subclasses hash, compare and print in ways of their own. Nothing
else is converted: a UUID or an int is refused, with a ValueError that begins with the argument's name.
"""

from collections.abc import Iterable, Mapping

EVERYBODY = "*"
USER_PREFIX = "#"

# Long enough for a UUID with a prefix and a name; bounds what one subscription can cost.
MAX_CHANNEL_BYTES = 255

# Offsets have 64 bits in the SDK protocol.
_MAX_OFFSET = 2**64 - 1


def plain(value: object) -> str | None:
    """Return text as a plain ``str``, None for what is no text.

    A lone surrogate is none: neither JSON nor a WebSocket can carry it, and ``json.loads`` makes one of ``"\\ud800"``.
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
    """Return text that is not empty as a plain ``str``, else raise ValueError naming the argument."""
    found = plain(value)
    if not found:
        raise ValueError(f"{name}: must be text that is not empty, not {value!r:.80}")
    return found


def user_channel(user: str) -> str:
    """Return the name of a user's own channel; ValueError without a user, as nobody has none."""
    if not user:
        raise ValueError("user: must not be empty")
    return USER_PREFIX + user


def user_of(channel: str) -> str | None:
    """Return whose channel this is, None where it is no user's."""
    return channel[len(USER_PREFIX) :] if channel.startswith(USER_PREFIX) else None


def check_channel(channel: object, name: str = "channel") -> str:
    """Return the name of a channel as a plain ``str``, else raise ValueError naming the argument."""
    if type(channel) is str and channel.isascii() and 0 < len(channel) <= MAX_CHANNEL_BYTES:
        return channel  # nearly all are like this, and need no encoding to be measured
    found = plain(channel)
    if not found or len(found.encode()) > MAX_CHANNEL_BYTES:
        raise ValueError(f"{name}: must be text of 1 to {MAX_CHANNEL_BYTES} bytes, not {channel!r:.80}")
    return found


def check_own_channel(channel: object) -> str:
    """Return the name of an application's own channel as a plain ``str``, else raise ValueError."""
    found = check_channel(channel)
    if found == EVERYBODY or found.startswith(USER_PREFIX):
        raise ValueError(f"channel: {found!r:.80} belongs to everybody or to one user; name a channel of your own")
    return found


def check_user(user: object) -> str:
    """Return a user's id as a plain ``str``, else raise ValueError."""
    if type(user) is str and user.isascii() and 0 < len(user) < MAX_CHANNEL_BYTES:
        return user
    found = plain(user)
    if not found or len(found.encode()) >= MAX_CHANNEL_BYTES:
        raise ValueError(f"user: must be text of 1 to {MAX_CHANNEL_BYTES - 1} bytes, not {user!r:.80}")
    return found


def check_user_channel(user: object) -> str:
    """Return the name of a user's own channel, else raise ValueError as ``check_user``; each send to one goes here."""
    if type(user) is str and user.isascii() and 0 < len(user) < MAX_CHANNEL_BYTES:
        return USER_PREFIX + user
    return USER_PREFIX + check_user(user)


def check_several(name: str, values: object) -> list[object]:
    """Return several names as a list, else raise ValueError: one ``str`` would be as many as it has letters."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: must be several names, not {values!r:.80}")
    return list(values)


def check_tags(tags: object) -> dict[str, str] | None:
    """Return tags as a dict of plain ``str``, a copy that nobody changes later; None where there are none.

    Raises:
        ValueError: a name or a value is no text.
    """
    if tags is None:
        return None
    if not isinstance(tags, Mapping):
        raise ValueError(f"tags: must be text by name, not {tags!r:.80}")
    found = {}
    for key, value in tags.items():
        name, text = plain(key), plain(value)
        if name is None or text is None:
            raise ValueError(f"tags: names and values must be text, not {key!r:.80}: {value!r:.80}")
        found[name] = text
    return found or None


def check_position(since: object) -> tuple[int, str]:
    """Return offset and epoch of a place in a stream, else raise ValueError."""
    if isinstance(since, tuple) and len(since) == 2:
        offset, epoch = since[0], plain(since[1])
        whole = isinstance(offset, int) and not isinstance(offset, bool)
        if whole and 0 <= offset <= _MAX_OFFSET and epoch is not None:
            return int(offset), epoch
    raise ValueError(f"since: must be a StreamPosition of an offset of at least 0 and an epoch, not {since!r:.80}")
