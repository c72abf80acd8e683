"""The units, images and manifests of docs/guides/deploying.md."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from asgi_push import Settings
from tests import servers
from tests.docs.blocks import BLOCKS, Block, blocks_of
from tests.docs.test_blocks import check_command

PAGE = servers.ROOT / "docs" / "guides" / "deploying.md"
HEALTH = "/push/health"
AFTER_THE_DRAIN = 3 + 10 + 6  # seconds: the page has a table of them


def only(language: str) -> Block:
    (block,) = (block for block in BLOCKS if block.language == language)
    return block


def lines(name: str, text: str) -> list[str]:
    return re.findall(rf"^{name}[= ](.*)$", text, re.MULTILINE)


def check_uvicorn(words: list[str]) -> None:
    """It takes these arguments, and ends in time."""
    check_command([Path(words[0]).name, *words[1:]])
    assert words[words.index("--timeout-graceful-shutdown") + 1] == "10"


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux")
def test_the_unit(tmp_path: Path) -> None:
    """systemd has nothing to say against it; the server takes its arguments; its time is long enough."""
    unit = only("ini").text
    words = shlex.split(lines("ExecStart", unit)[0].replace("%i", "8001"))
    check_uvicorn(words)
    settings = Settings.load(dict(line.split("=", 1) for line in lines("Environment", unit)))
    assert settings.drain_timeout + AFTER_THE_DRAIN < float(lines("TimeoutStopSec", unit)[0])

    systemd = servers.find_program("systemd-analyze")
    (tmp_path / "app@.service").write_text(unit.replace(words[0], sys.executable))
    command = [systemd, "verify", "app@8001.service"]
    run = subprocess.run(
        command, check=False, capture_output=True, text=True, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_image() -> None:
    """Its command is a list, which the server takes; what it sets are settings."""
    text = only("dockerfile").text
    (command,) = lines("CMD", text)
    check_uvicorn(json.loads(command))
    Settings.load(dict(line.split("=", 1) for line in lines("ENV", text)))
    assert {line.split()[0] for line in text.splitlines()} <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "CMD"),
    }


def manifest(key: str) -> Any:
    """The block of YAML with this key at its top."""
    (found,) = (
        found for block in blocks_of(PAGE) if block.language == "yaml" and key in (found := yaml.safe_load(block.text))
    )
    return found[key]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def drain_timeout() -> float:
    return Settings.load(dict(line.split("=", 1) for line in lines("ENV", only("dockerfile").text))).drain_timeout


def test_compose(serve: servers.Serve) -> None:
    """The health check is one, which ends with an error once there is nothing to be had; the time is long enough."""
    app = manifest("services")["app"]
    Settings.load(app["environment"])
    assert drain_timeout() + AFTER_THE_DRAIN < seconds(app["stop_grace_period"])
    how, *command = app["healthcheck"]["test"]
    assert (how, command[:2]) == ("CMD", ["python", "-c"])
    with serve("tests.live.app:app") as server:
        code = command[2].replace("8000", str(server.port))
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode != 0


def test_kubernetes() -> None:
    """The probe asks where the answer is; the time is long enough."""
    pod = manifest("spec")["template"]["spec"]
    assert drain_timeout() + AFTER_THE_DRAIN < pod["terminationGracePeriodSeconds"]
    (container,) = pod["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": HEALTH, "port": container["ports"][0]["containerPort"]}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=str)
def test_yaml(block: Block) -> None:
    """It is YAML."""
    assert isinstance(yaml.safe_load(block.text), dict)
