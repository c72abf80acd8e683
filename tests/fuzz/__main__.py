"""`python -m tests.fuzz`: odd inputs for each parser; see docs/development.md."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.fuzz import frames, requests
from tests.fuzz.target import fuzz

TARGETS = {target.name: target for target in [*frames.TARGETS, *requests.TARGETS]}


def main() -> int:
    """Fuzz, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each target")
    parser.add_argument("--target", action="append", choices=TARGETS, help="one of them; all by default")
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--first", type=int, default=0, help="the number of the first input, to see a fault again")
    options = parser.parse_args()
    failed = 0
    for name in options.target or TARGETS:
        began = time.monotonic()
        result = fuzz(TARGETS[name], options.seed, options.inputs, options.first)
        print(
            f"{name}: {result.inputs:,} inputs in {time.monotonic() - began:.0f} s, {result.refused:,} refused,"
            f" the slowest, {result.slowest[1]}, took {result.slowest[0] * 1000:.0f} ms; seed {options.seed}",
            flush=True,
        )
        for fault in result.faults:
            print(f"FAULT {fault}", flush=True)
        failed += bool(result.faults)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
