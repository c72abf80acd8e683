"""The application's hooks: called in the order of what happened to a session, never from its receive loop."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread

from ..disconnect import Disconnect
from ..logs import logger
from ..sendqueue import Put, SendQueue
from ..session import HookCall, Session
from ..settings import Settings
from .tasks import on_trio

Hook = Callable[..., Awaitable[Any] | Any]


def is_async(hook: Any) -> bool:
    """Whether calling ``hook`` gives something to await."""
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None))  # noqa: B004


async def call_hook(hook: Hook, *args: Any) -> Any:
    """Call an async hook here, a sync one in a worker thread, where it may block; a cancellation leaves it there."""
    if is_async(hook):
        return await hook(*args)
    result = await _in_thread(hook, *args)
    return await result if inspect.isawaitable(result) else result


async def _in_thread(hook: Hook, *args: Any) -> Any:
    if not on_trio():
        # Not anyio's threads: those end with the task that first used one, here the hub's, which outlives the loop
        # under servers without lifespan (daphne), and then keep the process from ending.
        return await asyncio.to_thread(hook, *args)
    # In a list, as trio takes a coroutine that comes out of a thread for a mistake.
    (result,) = await anyio.to_thread.run_sync(lambda: [hook(*args)], abandon_on_cancel=True)
    return result


class HookCalls:
    """Calls the hooks of each session one after the other; a session without hooks costs nothing.

    What waits is bounded like the send queue: a client that sends faster than ``on_message`` takes is closed.
    """

    def __init__(
        self, spawn: Callable[..., None], close: Callable[[Session, Disconnect], None], settings: Settings
    ) -> None:
        self._spawn = spawn
        self._close = close
        self._settings = settings
        self.running = 0

    def call(self, session: Session, hook: Hook | None, *args: Any, size: int = 0, last: bool = False) -> None:
        """Have ``hook(session, *args)`` called after all that was asked for before; the ``last`` is never refused."""
        if hook is None:
            return
        if session.inbox is None:
            session.inbox = SendQueue(self._settings.queue_messages, self._settings.queue_bytes, "disconnect")
            self._spawn(self._run, session, session.inbox)
            self.running += 1
        call = HookCall(hook, args, size)
        if last:
            session.inbox.put_last(call)
        elif session.inbox.put(call) is Put.OVERFLOW:
            self._close(session, Disconnect.OVERLOADED)

    async def _run(self, session: Session, inbox: SendQueue[HookCall]) -> None:
        try:
            while (call := inbox.take(0.0)) is not None:
                await self._call_one(session, call)
        finally:
            self.running -= 1
            session.inbox = None

    async def _call_one(self, session: Session, call: HookCall) -> None:
        try:
            await call_hook(call.hook, session, *call.args)
        except Exception:  # noqa: BLE001  # code of the application
            logger.exception("%s failed for session %s", getattr(call.hook, "__name__", "a hook"), session.id)
            self._close(session, Disconnect.SERVER_ERROR)
