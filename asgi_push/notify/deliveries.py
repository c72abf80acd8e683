"""Tells a person in all ways that they have: bounded in time and number, in threads."""

from collections.abc import Callable, Iterable
from pathlib import Path
from traceback import extract_tb
from types import UnionType
from typing import Any

import anyio

from ..errors import PushError, SettingsError
from ..inbound.hooks import call_hook
from ..logs import logger, printable
from ..messages import MIN_SECONDS
from ..runtime import fork
from ..runtime.threads import Threads

# How many ways one person has at most; what a page registers again and again must not add up.
MOST = 100


class NotifyError(PushError):
    """Nobody was told: each way to a person failed. It may be tried again.

    The message names the person and why each way failed. It holds no address and no secret.
    """


class Gone(Exception):
    """Raised by a call whose way to the person has ended: it is neither a success nor a failure."""


class _Outcome:
    """What became of the calls for one person."""

    def __init__(self) -> None:
        self.told = 0
        self.failures: list[str] = []


class Deliveries:
    """Makes the calls that tell one person. They may block: each is made in a thread.

    Args:
        timeout: how many seconds one call may take, including its wait for a thread.
        threads: how many calls are made at once.

    Raises:
        SettingsError: an argument cannot be used.
    """

    def __init__(self, timeout: float, threads: int) -> None:
        if not is_number(timeout, int | float) or not MIN_SECONDS <= timeout <= 3600:
            raise SettingsError(
                f"timeout: must be a number of seconds from {MIN_SECONDS} to 3600,"
                f" not {timeout!r:.80}"
            )
        if not is_number(threads, int) or not 1 <= threads <= 100:
            raise SettingsError(f"threads: must be a number from 1 to 100, not {threads!r:.80}")
        self._timeout = float(timeout)
        self._count = threads
        self.forget()
        fork.register(self)

    def forget(self) -> None:
        """Begin with no threads: a forked process has none of them."""
        self._threads = Threads("notify", self._count)
        self._own = Threads("notify hooks", self._count)

    async def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function of the application returns; it may be sync or async.

        Raises:
            NotifyError: it took longer than the timeout.
        """
        with anyio.move_on_after(self._timeout):
            return await call_hook(self._own, function, *args)
        name = getattr(function, "__name__", "a function")
        raise NotifyError(f"{name} took longer than {self._timeout:g} s")

    async def send(self, user: str, calls: Iterable[tuple[str, Callable[[], None]]]) -> None:
        """Make all calls, each with the name that its failure gets; return when all have ended.

        One that succeeds is enough: the person has been told. Failures of others are logged.

        Raises:
            NotifyError: some failed, and none succeeded.
        """
        outcome = _Outcome()
        async with anyio.create_task_group() as tasks:
            for name, call in calls:
                tasks.start_soon(self._send_one, name, call, outcome)
        if not outcome.failures:
            return
        reasons = f"{'; '.join(outcome.failures):.1000}"
        if not outcome.told:
            raise NotifyError(f"user {user!r:.80} was not told: {reasons}")
        logger.warning("user %s was told, but not in all ways: %s", printable(user), reasons)

    async def _send_one(self, name: str, call: Callable[[], None], outcome: _Outcome) -> None:
        reason = f"no answer in {self._timeout:g} s"
        with anyio.move_on_after(self._timeout):
            try:
                await self._threads.run(call)
            except Gone:
                return
            except NotifyError as error:
                reason = str(error)
            # Its text may hold an address with a password.
            except Exception as error:  # noqa: BLE001
                reason = _where(error)
            else:
                outcome.told += 1
                return
        outcome.failures.append(f"{name}: {reason}")


def _where(error: Exception) -> str:
    """Return what was raised and where, without its text."""
    frames = extract_tb(error.__traceback__)
    place = (
        f" in {'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}"
        if frames
        else ""
    )
    return type(error).__name__ + place


def check_functions(**functions: object) -> None:
    """Raise SettingsError if what the application has to give as a function is none."""
    for name, function in functions.items():
        if not callable(function):
            raise SettingsError(f"{name}: must be a function, not {type(function).__name__}")


def is_number(value: object, kind: type | UnionType) -> bool:
    """Whether a value is a number of this kind, which True and False are not."""
    return isinstance(value, kind) and not isinstance(value, bool)
