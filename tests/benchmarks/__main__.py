"""This library beside others, on this machine, in one run: Linux with two cores; 40 minutes, --quick ten.

``--workloads`` measures a part, and with ``--docs`` puts only that part anew into the page.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import kept, machine, page, report, suite, targets
from .peers import PEERS

_RESULTS = Path(__file__).parent / "results" / "latest.json"
_PACKAGES = (
    "asgi-push", "uvicorn", "uvloop", "starlette", "fastapi", "websockets", "litestar", "broadcaster", "channels",
    "django", "python-socketio", "python-engineio", "picows", "orjson", "hypercorn", "granian", "daphne", "redis",
    "channels-redis",
)  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    workloads = list(suite.WORKLOADS)
    parser.add_argument("--workloads", type=_names(workloads), default=workloads, help=f"some of {','.join(workloads)}")
    parser.add_argument("--peers", type=_names(list(PEERS)), default=[], help=f"only these of {','.join(PEERS)}")
    parser.add_argument("--runs", type=int, help="of which the medians are taken (5, with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--json", type=Path, default=_RESULTS, help="where the figures go (%(default)s)")
    parser.add_argument("--docs", action="store_true", help="write them into docs/performance.md, with their plot")
    arguments = parser.parse_args()
    if arguments.docs and (arguments.quick or arguments.peers):
        parser.error("--docs takes whole tables: neither --quick nor --peers")
    return arguments


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return names

    return parse


def main() -> None:
    """Run, and write what was found."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then, too
    about = machine.describe(_PACKAGES) | {"date": time.strftime("%Y-%m-%d"), "quick": arguments.quick}
    machine.raise_file_limit()
    machine.pin(machine.CLIENT_CORE)
    runs = arguments.runs or (1 if arguments.quick else 5)
    rows = _measure(arguments, runs, about)
    found = targets.ratios(rows)
    print(report.text(rows, found))
    results = about | {
        "runs": runs,
        "ratios": [ratio.as_json() for ratio in found],
        "rows": [row.as_json() for row in rows],
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nThe figures are in {arguments.json}.")
    if any(row.error for row in rows):
        raise SystemExit(1)


def _measure(arguments: argparse.Namespace, runs: int, about: Mapping[str, Any]) -> list[suite.Row]:
    """Measure one workload after the other; the page has each as soon as it is done."""
    rows = list[suite.Row]()
    for name in arguments.workloads:
        measured = suite.run([name], frozenset(arguments.peers), runs, quick=arguments.quick)
        rows += measured
        if arguments.docs:
            kept.replace(measured, about)
            page.write()
    return rows


if __name__ == "__main__":
    main()
