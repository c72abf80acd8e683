"""`python -m tests.soak`: clients of every kind in a storm, for an hour; see docs/development.md."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak.flat import judged
from tests.soak.storm import Soak, run


def main() -> int:
    """Run a soak, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--broker", choices=["memory", "redis", "local"], default="memory")
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--clients", type=int, default=10, help="of each of the five kinds")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the servers must not outlive it
        signal.signal(number, signal.default_int_handler)
    if options.broker == "redis" and shutil.which("redis-server") is None:
        parser.error("redis-server is not installed")
    print(f"{options.minutes:g} minutes on {options.broker}, seed {options.seed}", flush=True)
    soak = Soak(
        options.broker, options.minutes * 60, options.seed, options.clients, lambda line: print(line, flush=True)
    )
    folder = Path(tempfile.mkdtemp(prefix="asgi_push-soak-"))
    run(soak, folder)
    print(summary(soak))
    if soak.ledger.faults:
        print(f"The logs of the servers are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def summary(soak: Soak) -> str:
    """Return what happened, what grew, and what was wrong."""
    lines = ["", f"{soak.minutes:.1f} minutes on {soak.broker}, seed {soak.seed}"]
    lines += [f"  {count:9,} {what}" for what, count in sorted(soak.ledger.counts.items())]
    lines += ["How connections ended:"]
    lines += [f"  {count:9,} {how}" for how, count in sorted(soak.closes.items())]
    flat = sum(bool(judged(rests)) for rests in soak.rests.values())
    lines += [f"Processes that lived long enough to say whether they grow: {flat}"]
    lines += [f"FAULT {fault}" for fault in soak.ledger.faults] or ["Nothing lost, doubled, out of order or growing."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
