"""The version of this package, as installed."""

from functools import cache


@cache
def package_version() -> str:
    """Return the version of this package, empty where it is not installed."""
    # Slow to import, and seldom needed.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("asgi-push")
    except PackageNotFoundError:  # a copy of the sources
        return ""
