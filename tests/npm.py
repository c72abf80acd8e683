"""Packages of npm that tests drive, installed on first use."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests import servers


def install(folder: Path) -> Path:
    """Return the folder of the npm packages, installed once for each lock file."""
    servers.find_program("node")
    npm, modules = servers.find_program("npm"), folder / "node_modules"
    lock = folder / "package-lock.json"
    stamp, wanted = modules / ".installed-from", hashlib.sha256(lock.read_bytes()).hexdigest()
    with servers.alone(folder):
        if stamp.is_file() and stamp.read_text() == wanted:
            return modules
        print(f"Installing by npm, for the tests that drive it: {lock.relative_to(servers.ROOT)}", flush=True)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            servers.unavailable(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        stamp.write_text(wanted)
    return modules


if __name__ == "__main__":
    install(servers.ROOT / sys.argv[1])
