"""The options of channels, by the part of their name before the colon."""

from collections.abc import Mapping

from .brokers import StreamOptions
from .errors import SettingsError
from .messages import ChannelOptions
from .names import EVERYBODY, USER_PREFIX, plain
from .settings import Settings

# No notices in everybody's channel: they would be the square of the number of sessions.
_EVERYBODY = ChannelOptions()


class Namespaces:
    """Finds the options of a channel by its namespace; without a known one, those of ""."""

    def __init__(self, settings: Settings, namespaces: Mapping[str, ChannelOptions]) -> None:
        self._options = _checked(namespaces)
        self._default = self._options.setdefault("", ChannelOptions())
        self.streams = {
            name: _stream(settings, name, options) for name, options in self._options.items()
        }
        self._several = len(self._options) > 1

    def options(self, channel: str) -> ChannelOptions:
        """Return the options of a channel."""
        if channel == EVERYBODY:
            return _EVERYBODY
        return self._options[self._name(channel)] if self._several else self._default

    def stream(self, channel: str) -> StreamOptions | None:
        """Return how long a channel's history is, None where it keeps none."""
        return self.streams[self._name(channel)] if self._several else self.streams[""]

    def _name(self, channel: str) -> str:
        name, found, _ = channel.partition(":")
        return name if found and name in self._options else ""


def _checked(namespaces: Mapping[str, ChannelOptions]) -> dict[str, ChannelOptions]:
    """Return a copy; SettingsError if it is no options by names that channels can begin with."""
    if not isinstance(namespaces, Mapping):
        raise SettingsError(f"namespaces: must be ChannelOptions by name, not {namespaces!r:.80}")
    options = {}
    for given, value in namespaces.items():
        name = plain(given)
        if name is None or ":" in name or name in (USER_PREFIX, EVERYBODY):
            raise SettingsError(
                f"namespaces: {given!r:.80} is no part of a channel's name before its colon; "
                'the name "" is for all channels without a namespace'
            )
        if not isinstance(value, ChannelOptions):
            raise SettingsError(
                f"namespaces: {name!r:.80} must be ChannelOptions, not {value!r:.80}"
            )
        options[name] = value
    return options


def _stream(settings: Settings, name: str, options: ChannelOptions) -> StreamOptions | None:
    size = settings.history_size if options.history_size is None else options.history_size
    ttl = settings.history_ttl if options.history_ttl is None else options.history_ttl
    if not size and options.history_ttl and options.history_size is None:
        raise SettingsError(
            f"namespaces: {name!r:.80} has a history_ttl, "
            "and the setting history_size is 0: name both"
        )
    if not ttl and options.history_size:
        raise SettingsError(
            f"namespaces: {name!r:.80} has a history_size, "
            "and the setting history_ttl is 0: name both"
        )
    return StreamOptions(size, ttl) if size and ttl else None
