"""Who is here, after any sequence of comings and goings."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from asgi_push.registry import Registry


class Member:
    def __init__(self, member_id: str, user: str = "") -> None:
        self.id = member_id
        self.user = user


MEMBERS = [Member(str(number), user) for number, user in enumerate(("alice", "alice", "bob", ""))]
members, channels = st.sampled_from(MEMBERS), st.sampled_from("abc")


class RegistryMachine(RuleBasedStateMachine):
    """A registry beside a model of it, under any sequence of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.registry: Registry[Member, int] = Registry()
        self.here: dict[str, Member] = {}
        self.joined: dict[str, dict[Member, int]] = {channel: {} for channel in "abc"}

    @rule(member=members)
    def add(self, member: Member) -> None:
        self.registry.add(member)
        self.here[member.id] = member

    @rule(member=members)
    def remove(self, member: Member) -> None:
        self.registry.remove(member)
        self.here.pop(member.id, None)

    @rule(member=members, channel=channels, value=st.integers())
    def join(self, member: Member, channel: str, value: int) -> None:
        self.registry.join(member, channel, value)
        self.joined[channel][member] = value

    @rule(member=members, channel=channels)
    def leave(self, member: Member, channel: str) -> None:
        was_last = list(self.joined[channel]) == [member]
        self.joined[channel].pop(member, None)
        assert self.registry.leave(member, channel) is was_last

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.registry.sessions() == list(self.here.values())
        assert len(self.registry) == len(self.here)
        assert all(self.registry.get(member.id) is self.here.get(member.id) for member in MEMBERS)
        assert sorted(self.registry.channels()) == sorted(name for name, joined in self.joined.items() if joined)
        for user in ("alice", "bob"):
            assert set(self.registry.sessions_of(user)) == {one for one in self.here.values() if one.user == user}
        assert self.registry.sessions_of("") == []
        assert set(self.registry.users()) == {one.user for one in self.here.values() if one.user}
        for channel, joined in self.joined.items():
            assert list(self.registry.members(channel).items()) == list(joined.items())

    def teardown(self) -> None:
        """When all are gone, nothing is left."""
        for member in MEMBERS:
            self.registry.remove(member)
            for channel in "abc":
                self.registry.leave(member, channel)
        assert not self.registry.sessions()
        assert not self.registry.channels()
        assert not self.registry.users()


TestRegistry = RegistryMachine.TestCase


def test_two_sessions_of_one_user_are_two() -> None:
    """One tab that goes leaves the other where it is."""
    registry: Registry[Member, None] = Registry()
    first, second = Member("1", "alice"), Member("2", "alice")
    registry.add(first)
    registry.add(second)
    registry.remove(first)
    assert registry.sessions_of("alice") == [second]
    registry.join(first, "#alice", None)
    registry.join(second, "#alice", None)
    registry.leave(first, "#alice")
    assert list(registry.members("#alice")) == [second]
