"""What runs on an event loop runs in one process: a fork takes a copy of it along, which must forget that."""

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Something with a state that belongs to one process."""

    def forget(self) -> None:
        """Be as new; this process was forked from the one in which this ran."""
        ...


_all: WeakSet[Forked] = WeakSet()

# What ran in the other process. It is kept, as its end would reach into that one: a socket that is closed here is taken
# off the other's epoll too.
_left_alone: list[object] = []


def register(item: Forked) -> None:
    """Have an item forget, in each process that is forked from this one."""
    _all.add(item)


def keep_alive(what: object) -> None:
    """Keep what belongs to the other process, and do nothing with it."""
    _left_alone.append(what)


def _forget() -> None:
    for item in list(_all):
        item.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget)
