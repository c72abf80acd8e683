"""Checks of what a ``Push`` is made with: its settings and its hooks."""

import inspect
from typing import Any

from .auth import require_jwt
from .errors import SettingsError
from .logs import logger
from .message_types import Messages
from .metrics.exposition import require_prometheus
from .settings import Settings, check_names
from .settings_fields import SettingsFields

# The arguments that each hook is called with.
ARGUMENTS = {
    "authenticate": ("connection",),
    "authorize": ("session", "channel", "action"),
    "on_connect": ("session",),
    "on_disconnect": ("session", "disconnect"),
    "on_message": ("session", "data"),
    "on_rpc": ("session", "method", "data"),
    "on_undelivered": ("user", "publication"),
    "default": ("value",),
}


# The other parameters of a ``Push`` that are no settings.
_OTHERS = ("namespaces", "messages", "settings", "broker_credentials")

# The fewest bytes of a secret of HS256: as many as its hash has (RFC 7518, section 3.2).
_SECRET_BYTES = 32


def settings_in_force(settings: Settings | None, given: SettingsFields) -> Settings:
    """Return ``settings``, or those of the environment if None, changed by ``given``.

    Raises:
        SettingsError: a setting cannot be used, is unknown, or needs a library that is missing.
    """
    if settings is not None and not isinstance(settings, Settings):
        raise SettingsError(
            f"settings: must be Settings, not {settings!r:.80}; single ones are given by name"
        )
    check_names(given, others=[*ARGUMENTS, *_OTHERS])
    found = Settings.load(**given) if settings is None else settings.replaced(**given)
    if found.token_secret:
        require_jwt()
    if found.metrics:
        require_prometheus()
    if found.console and not found.api_key:
        raise SettingsError("console needs an api_key (ASGI_PUSH_API_KEY), which it asks for")
    _warn(found)
    return found


def check_messages(messages: object) -> Messages | None:
    """Return what describes the messages; raise SettingsError if it is something else."""
    if messages is None or isinstance(messages, Messages):
        return messages
    raise SettingsError(f"messages: must be Messages, not {messages!r:.80}")


def check_hooks(**hooks: Any) -> None:
    """Raise SettingsError if a hook cannot take the arguments that it will be called with."""
    for name, hook in hooks.items():
        _check_hook(name, hook)


def _check_hook(name: str, hook: Any) -> None:
    if hook is None:
        return
    arguments = ARGUMENTS[name]
    wanted = f"it is called with ({', '.join(arguments)})"
    if not callable(hook):
        raise SettingsError(f"{name}: must be a function, not {hook!r:.80}; {wanted}")
    if isinstance(hook, type) and name != "default":  # for that one a class is fine, such as str
        raise SettingsError(
            f"{name}: must be a function, not the class {hook.__name__}; give an instance of it"
        )
    if any(
        looks_like(hook) for looks_like in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    ):
        raise SettingsError(f"{name}: must return, and {hook.__name__} yields")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):  # some builtins have none
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise SettingsError(
            f"{name}: {wanted}, and {_name(hook)}{signature} cannot be: {error}"
        ) from None


def _name(hook: Any) -> str:
    return str(getattr(hook, "__qualname__", type(hook).__qualname__))


def _warn(settings: Settings) -> None:
    """Log which settings have no effect because another is off, and a secret that is too short."""
    if settings.when_exceeded == "replace" and not settings.max_sessions_per_user:
        logger.warning(
            "when_exceeded=replace does nothing while max_sessions_per_user is 0, which is no limit"
        )
    if settings.token_query and not settings.token_secret:
        logger.warning("token_query does nothing without token_secret: no token is read")
    size = len((settings.token_secret or "").encode())
    if 0 < size < _SECRET_BYTES:
        logger.warning(
            "token_secret has %d bytes: whoever has a token can find it by trying. Take %d bytes or"
            ' more: python -c "import secrets; print(secrets.token_hex())"',
            size,
            _SECRET_BYTES,
        )
