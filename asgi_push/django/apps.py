"""The application that ``INSTALLED_APPS`` names."""

from django.apps import AppConfig


class PushConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """It has no models; it brings the command ``runserver``."""

    name = "asgi_push.django"
    label = "asgi_push"
    verbose_name = "asgi_push"
