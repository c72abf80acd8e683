"""The version of this package, as installed."""

from functools import cache


@cache
def package_version() -> str:
    """Return the version of this package, empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # slow to import, and seldom asked

    try:
        return version("asgi-push")
    except PackageNotFoundError:  # a copy of the sources
        return ""
