"""For Django: the user who is logged in, publications of a transaction, and a ``runserver``.

``INSTALLED_APPS = ["asgi_push.django", ...]``, before ``django.contrib.staticfiles``.
"""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from starlette.requests import HTTPConnection

from asgi_push import Push


def authenticate(connection: HTTPConnection) -> str | None:
    """Return the primary key, as text, of the user who is logged in to Django; None for nobody.

    It is for ``Push(authenticate=...)``. It reads the session cookie, runs in a thread, and asks
    the database.
    """
    # Settings and models can be used once Django is set up.
    from django.conf import settings  # noqa: PLC0415
    from django.contrib.auth import get_user  # noqa: PLC0415
    from django.db import close_old_connections  # noqa: PLC0415

    close_old_connections()
    try:
        store = import_module(settings.SESSION_ENGINE).SessionStore
        session = store(connection.cookies.get(settings.SESSION_COOKIE_NAME))
        user = get_user(SimpleNamespace(session=session))
        return str(user.pk) if user.is_authenticated else None
    finally:
        close_old_connections()


def publish_on_commit(push: Push, channel: str, data: Any, *, database: str | None = None) -> None:
    """Publish once the transaction commits, never if it does not; at once where there is none.

    It is for code that is not async. With the broker ``postgres://`` the ``using`` of
    ``push.publish`` does more: there the publication is a part of the transaction, and is not lost
    if the process ends between the two.

    Args:
        push: where to publish.
        channel: the channel; ``#`` and an id is that of a user.
        data: what to publish, as it is when the transaction commits.
        database: the name of the database, as in ``settings.DATABASES``; None for the default.

    Raises:
        BrokerError: the broker did not take it, though the transaction is committed.
    """
    from django.db import transaction  # noqa: PLC0415

    transaction.on_commit(lambda: _publish(push, channel, data), using=database)


def _publish(push: Push, channel: str, data: Any) -> None:
    push.blocking.publish(channel, data)
