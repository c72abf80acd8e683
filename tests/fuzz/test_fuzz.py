"""Some odd inputs for each parser: `python -m tests.fuzz` gives them many more."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz import target
from tests.fuzz.__main__ import TARGETS
from tests.fuzz.target import Target, fuzz

INPUTS = 1000


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_the_documented_refusal(name: str) -> None:
    """Whatever a parser is given, it reads or refuses; and it is given enough of both."""
    result = fuzz(TARGETS[name], "a test", INPUTS)
    assert result.faults == []
    assert result.refused < 0.95 * INPUTS
    assert result.refused > 0.05 * INPUTS or not TARGETS[name].refusals


def test_a_fault_is_reported_with_its_number() -> None:
    """An exception that is no refusal is a fault, by whose number the input can be made again."""

    def read(number: int) -> None:
        if number % 500 == 0:
            raise KeyError(number)

    failing = Target("a parser", lambda random: random.randrange(1000), read, (ValueError,))
    result = fuzz(failing, "s", 5000)
    [fault, *_] = result.faults
    assert "KeyError" in fault
    number = int(fault.partition("--first ")[2].partition(":")[0])
    assert fuzz(failing, "s", 1, number).faults == [fault]


def test_what_is_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that keeps what it reads is a fault."""
    monkeypatch.setattr(target, "JUDGED", 1000)
    kept: list[object] = []
    keeping = Target("a parser", Random.random, lambda number: kept.append([[] for _ in range(20)]))
    assert "it keeps" in fuzz(keeping, "s", 1000).faults[0]
