"""What one console is shown of all processes that share the broker."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from ...errors import BrokerError
from ...hub.hub import Hub
from ...runner.processes.answers import show_state
from ...runner.processes.view import View
from .channel import show_channel
from .merging import merge_channels, merge_sessions

States = dict[str, Mapping[str, Any]]

# What of a process's answer the page gets as it is.
_OF_PROCESS = (
    "id",
    "host",
    "pid",
    "version",
    "python",
    "uptime",
    "sessions",
    "accepting",
    "broker_up",
    "samples",
)


class Overview:
    """Looks at all processes for one console, and remembers which samples it has been sent."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: dict[str, int] = {}  # the number of the last sample, by process
        self.more = False  # whether there are samples that it can be sent at once
        self.cost = 0.0  # seconds that the last look took in the process in which it took longest

    async def look(self, view: View) -> dict[str, Any]:
        """Return what a console shows now: the processes, its list, and what is open over it."""
        states, problem = await self._ask(view)
        self._seen = {name: found["seen"] for name, found in states.items()}
        self.more = any(found["more"] for found in states.values())
        self.cost = max(found["cost"] for found in states.values())
        found: dict[str, Any] = {
            "view": {"list": view.list, "page": view.page, "process": view.process},
            "processes": [_of_process(state) for state in states.values()],
            "problem": problem,
        }
        listed = {name: state["listed"] for name, state in states.items() if "listed" in state}
        merge = merge_sessions if view.list == "sessions" else merge_channels
        found[view.list] = merge(listed, view)
        if view.open_session:
            found["session"] = _session(states, view.open_session)
        if view.open_channel:
            found["channel"] = await show_channel(self._hub, view.open_channel)
            found["channel"]["sessions"] = sum(state["members"] for state in states.values())
        return found

    async def _ask(self, view: View) -> tuple[States, str]:
        """Return the states by process, and why there may be more than these."""
        hub = self._hub
        if not hub.broker.connected:
            return await self._here(view), ""  # which the page says of the broker
        fields = asdict(view)
        if self._seen.keys() == {hub.id} and not view.process:
            fields["process"] = hub.id  # alone, so that each page of its list can be seen
        try:
            answers = await hub.processes.ask("state", view=fields, seen=self._seen)
        except BrokerError as error:
            return await self._here(view), f"The other processes cannot be asked: {error}"
        problem = "" if answers.complete else "A process does not answer."
        states = answers.found
        if hub.id not in states:
            states |= await self._here(view)
        return states, problem

    async def _here(self, view: View) -> States:
        hub = self._hub
        state = await show_state(hub, view, self._seen.get(hub.id, 0))
        return {hub.id: orjson.loads(orjson.dumps(state))}


def _of_process(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in _OF_PROCESS}


def _session(states: States, session_id: str) -> dict[str, Any]:
    """Return the session that is open, from its process; of one that is nowhere, its id."""
    for name, state in states.items():
        if state.get("session") is not None:
            return {**state["session"], "process": name}
    return {"id": session_id, "gone": True}
