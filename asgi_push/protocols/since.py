"""The positions with which a page comes: ``?since=``, a JSON object of channel -> id."""

from typing import Any

import orjson

from ..messages import StreamPosition, parse_id

# The most bytes that are read for each channel that a session may be in: a name has up to 255, an
# id about 20.
_MAX_ENTRY = 400

# The channels of a session that max_channels does not count: its user's and everybody's.
_OWN_CHANNELS = 2

_ADVICE = "since: must be empty, or a JSON object of channel -> id"


class Since:
    """What ``?since=`` says. It opens no channel: ids of channels that a session is not in wait.

    Nothing is signed. The most that made-up ids can get is what these channels keep.

    Raises:
        ValueError: it is something else, or longer than ``max_channels`` need.
    """

    __slots__ = ("_positions",)

    def __init__(self, text: str, max_channels: int = 128) -> None:
        if len(text) > (max_channels + _OWN_CHANNELS) * _MAX_ENTRY:
            raise ValueError("since: is longer than the ids of max_channels channels can be")
        self._positions = {
            channel: _position(channel, place)
            for channel, place in _object(text).items()
            if place is not None
        }

    @property
    def empty(self) -> bool:
        """Whether it has no ids: the page has missed nothing."""
        return not self._positions

    def knows(self, channel: str) -> bool:
        """Whether there is an id of a channel."""
        return channel in self._positions

    def position(self, channel: str) -> StreamPosition | None:
        """Return the position that the id of a channel says, None if there is none."""
        return self._positions.get(channel)


def _object(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text) if text else {}
    except ValueError:
        raise ValueError(_ADVICE) from None
    if not isinstance(found, dict):
        raise ValueError(_ADVICE)
    return found


def _position(channel: str, place: object) -> StreamPosition:
    position = parse_id(place) if isinstance(place, str) else None
    if position is None:
        raise ValueError(f"since: {place!r:.80} is no id, as of channel {channel!r:.80}")
    return position
