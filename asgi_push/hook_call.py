"""A call of a hook that waits for its turn."""

from collections.abc import Callable
from typing import Any


class HookCall:
    """A hook's call that waits; ``size`` is that of the client's message, in bytes.

    An ``always`` call is not dropped when the session is closed. An ``own`` one is of a coroutine
    function of this package, which calls the application's by ``call_hook``.
    """

    __slots__ = ("always", "args", "hook", "own", "size")

    def __init__(
        self,
        hook: Callable[..., Any],
        args: tuple[Any, ...],
        size: int,
        *,
        always: bool = False,
        own: bool = False,
    ) -> None:
        self.hook = hook
        self.args = args
        self.size = size
        self.always = always
        self.own = own
