"""Makes a forked process forget what runs in the process that it is a copy of."""

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """An object whose state belongs to one process."""

    def forget(self) -> None:
        """Return to the state of a new object, in a process that was forked from this one."""
        ...


_all: WeakSet[Forked] = WeakSet()

# What ran in the other process. It is kept, as its end would reach into that process: a socket
# that is closed here is taken off the other's epoll too.
_kept_alive: list[object] = []


def register(item: Forked) -> None:
    """Call ``item.forget()`` in each process that is forked from this one."""
    _all.add(item)


def keep_alive(what: object) -> None:
    """Keep an object that belongs to the other process, so that it never ends here."""
    _kept_alive.append(what)


def _forget() -> None:
    for item in list(_all):
        item.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget)
