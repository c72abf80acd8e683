"""Calls the application's hooks in the order of a session's events, outside its receive loop."""

import dis
import inspect
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from inspect import CO_COROUTINE
from types import CodeType
from typing import Any

from ..connection import Connection, Owner
from ..disconnect import Disconnect
from ..hook_call import HookCall
from ..runtime.event_loop import current_task, ends_task
from ..runtime.failures import Failures
from ..runtime.threads import Threads
from ..runtime.time_slice import SharedSlice
from ..sendqueue import SendQueue
from ..settings import Settings
from .intake import Intake

Hook = Callable[..., Awaitable[Any] | Any]


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks that the application gave."""

    on_connect: Hook | None = None
    on_disconnect: Hook | None = None
    on_message: Hook | None = None
    on_rpc: Hook | None = None
    on_undelivered: Hook | None = None


class HookFailed(Exception):
    """A hook raised what is no Exception, such as SystemExit; that is the ``__cause__``."""


def is_async(hook: Any) -> bool:
    """Whether calling ``hook`` gives something to await."""
    code = getattr(hook, "__code__", None)
    # Nearly all are such functions. inspect.iscoroutinefunction takes ten times as long.
    if type(code) is CodeType and code.co_flags & CO_COROUTINE:
        return True
    if inspect.iscoroutinefunction(hook):
        return True
    return inspect.iscoroutinefunction(getattr(hook, "__call__", None))  # noqa: B004  # an object


def ends_at_once(hook: Hook) -> bool:
    """Whether ``hook`` is an async function that waits for nothing, by what it is compiled to."""
    code = getattr(hook, "__code__", None)
    if type(code) is not CodeType or not code.co_flags & CO_COROUTINE:
        return False
    return all(step.opname != "YIELD_VALUE" for step in dis.get_instructions(code))


def call_at_once(hook: Hook, *args: Any) -> Any:
    """Return the result of a hook that ``ends_at_once``, without a task of its own.

    What it sets of context variables goes with it, as it would with its task.

    Raises:
        HookFailed: it raised what is no Exception.
    """
    call: Any = hook(*args)
    try:
        copy_context().run(call.send, None)
    except StopIteration as end:
        return end.value
    except Exception:
        raise
    except BaseException as error:
        raise HookFailed(f"{name_of(hook)} raised {type(error).__name__}") from error
    raise HookFailed(f"{name_of(hook)} waited for something")


async def call_hook(threads: Threads, hook: Hook, *args: Any) -> Any:
    """Call an async hook here, and a sync one in one of ``threads``; return its result.

    A sync hook may block. A cancellation does not wait for it.

    Raises:
        HookFailed: it raised what is no Exception, or a cancellation that nobody asked for.
    """
    here = current_task()
    try:
        if is_async(hook):
            return await hook(*args)
        result = await threads.run(hook, *args)
        return await result if inspect.isawaitable(result) else result
    except Exception:
        raise
    except BaseException as error:
        if ends_task(error, here):
            raise
        raise HookFailed(f"{name_of(hook)} raised {type(error).__name__}") from error


def name_of(hook: Hook) -> str:
    """Return what a hook is called in the log."""
    return getattr(hook, "__name__", "a hook")


class HookCalls:
    """Calls the hooks of each session one after the other; a session without hooks costs nothing.

    Calls that wait are bounded as the send queue is: ``Intake`` does not read from a client that
    sends faster than ``on_message`` returns.
    """

    def __init__(
        self,
        owner: Owner,
        threads: Threads,
        settings: Settings,
        failures: Failures,
    ) -> None:
        self._owner = owner
        self._threads = threads
        self._settings = settings
        self._failures = failures
        self.intake = Intake(owner)
        self._slice = SharedSlice()
        self.running = 0
        self._spare: SendQueue[HookCall] | None = None  # an inbox in which nothing came to wait

    def call(
        self,
        session: Connection,
        hook: Hook | None,
        *args: Any,
        size: int = 0,
        always: bool = False,
        ahead: bool = False,
    ) -> None:
        """Have ``hook(session, *args)`` called after the calls that wait, or ``ahead`` of them.

        A call is never refused. An ``always`` call is not dropped when the session is closed.
        """
        if hook is None:
            return
        call = HookCall(hook, args, size, always=always)
        inbox = self._inbox_of(session)
        if ahead:
            inbox.put_urgent(call)
        else:
            inbox.put_last(call)

    def execute(
        self,
        session: Connection,
        work: Callable[..., Awaitable[None]],
        *args: Any,
        size: int = 0,
    ) -> None:
        """Have ``work(session, *args)``, of this package, awaited after the calls that wait.

        It is dropped when the session is closed.
        """
        self._inbox_of(session).put_last(HookCall(work, args, size, own=True))

    async def execute_here(
        self, session: Connection, work: Callable[..., Awaitable[None]], *args: Any
    ) -> None:
        """Await ``work(session, *args)``, of this package, for a session of which no call waits.

        A task takes longer to begin than most work does to end. So this is for work that waits
        neither for the application nor for the client: its caller reads nothing meanwhile. Calls
        that come before the end wait for it.
        """
        inbox = self._spare
        if inbox is None:
            inbox = self._new_inbox()
        self._spare = None
        session.inbox = inbox
        self.running += 1
        held = self.intake.held
        held.add(session)
        try:
            await work(session, *args)
        finally:
            held.discard(session)
            if inbox.empty:
                self._spare = inbox
                session.inbox = None
                self.running -= 1
            elif self._owner.running:
                self._owner.spawn(self._run, session, inbox)
            else:
                self._ended(session)

    def _inbox_of(self, session: Connection) -> SendQueue[HookCall]:
        """Return the queue of the calls that wait; it is worked off by a task."""
        if session.inbox is None:
            session.inbox = self._new_inbox()
            self._owner.spawn(self._run, session, session.inbox)
            self.running += 1
        return session.inbox

    def _new_inbox(self) -> SendQueue[HookCall]:
        settings = self._settings
        return SendQueue(settings.queue_messages, settings.queue_bytes, "disconnect")

    def drop(self, session: Connection) -> None:
        """Drop the calls of a session that wait, except for ``always`` calls."""
        if session.inbox is not None:
            session.inbox.keep(lambda call: call.always)

    async def _run(self, session: Connection, inbox: SendQueue[HookCall]) -> None:
        """Make the calls that wait; after a failure in a new task, as a hook may spoil this one."""
        try:
            while (call := inbox.take(0.0)) is not None:
                self.intake.taken(session)
                if not await self._call_one(session, call):
                    self._owner.spawn(self._run, session, inbox)
                    return
                if self._slice.over(call.size):
                    await self._slice.next()
        except BaseException:
            self._ended(session)
            raise
        self._ended(session)

    def _ended(self, session: Connection) -> None:
        self.running -= 1
        session.inbox = None
        self.intake.taken(session)

    async def _call_one(self, session: Connection, call: HookCall) -> bool:
        """Call a hook; return False, with its session closed, if it failed."""
        here = current_task()
        try:
            if call.own:
                await call.hook(session, *call.args)
            else:
                await call_hook(self._threads, call.hook, session, *call.args)
        except BaseException as error:
            if self._owner.ending or current_task() is not here:
                raise
            self._failures.report("hook", error, name_of(call.hook), f" for session {session.id}")
            self._owner.close(session, Disconnect.SERVER_ERROR)
            return False
        return True
