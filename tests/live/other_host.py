"""Another host, whose link can be taken down: a peer that vanishes without a word."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers import find_program, unavailable


def ip(*words: str) -> None:
    """Change this host's network."""
    subprocess.run([find_program("ip"), *words], check=True, capture_output=True)


@contextmanager
def other_host() -> Iterator[tuple[str, str]]:
    """Another host: a network namespace with a link of its own; its name, and this host's address there."""
    name = f"push{os.getpid() % 10_000}"
    if os.geteuid() != 0:
        unavailable("network namespaces want root")
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        unavailable(f"no network namespaces here: {error.stderr.decode()}")
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        ip("addr", "add", "10.231.77.1/30", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "addr", "add", "10.231.77.2/30", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        yield name, "10.231.77.1"
    finally:
        with suppress(subprocess.CalledProcessError):  # it may not be there yet
            ip("link", "del", f"{name}a")  # with the namespace it would go some time later
        ip("netns", "del", name)
