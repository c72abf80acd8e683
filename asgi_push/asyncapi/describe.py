"""``describe``: the document of a ``Push``."""

from typing import Any

from ..core import Core
from ..message_types import Messages
from ..push import Push, core_of
from .document import document

# No application has as many middlewares; only wrappers that form a circle have.
_MAX_WRAPPERS = 100


def describe(
    push: Push, *, server: str = "http://localhost:8000", app: Any = None
) -> dict[str, Any]:
    """Return what clients of a ``push`` are sent, and what they may send, as AsyncAPI 3.

    It is what ``{http_path}/asyncapi.json`` shows. ``push`` need not run.

    Args:
        push: it has the ``Messages`` that describe the application's own.
        server: what clients connect to, with the prefix of a proxy if there is one.
        app: where the title and the version come from if ``Messages`` has none; those of FastAPI
            have both.

    Raises:
        ValueError: ``server`` is no URL of http or https.
    """
    core = core_of(push)
    return describe_core(core, core.settings.path, server, app)


def describe_core(core: Core, plain_path: str, server: str, *apps: Any) -> dict[str, Any]:
    """Return the document of one middleware; the first of ``apps`` with a title names it."""
    messages = core.messages or Messages()
    named = (found for app in apps if (found := _title_and_version(app)) is not None)
    title, version = next(named, ("Push", "0.1.0"))
    return document(
        core.settings,
        messages,
        plain_path=plain_path,
        server=server,
        title=messages.title or title,
        version=messages.version or version,
        own_login=core.authenticate is not None,
    )


def _title_and_version(app: Any) -> tuple[str, str] | None:
    """Return those of an application, or of the one that it wraps; None if there are none."""
    for _ in range(_MAX_WRAPPERS):
        if app is None:
            return None
        title = getattr(app, "title", None)
        version = getattr(app, "version", None)
        if isinstance(title, str) and isinstance(version, str) and title and version:
            return title, version
        app = getattr(app, "app", None)
    return None
