"""A real nginx, with the configurations that the documentation has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tests import servers
from tests.docs.blocks import BLOCKS

SITE, MACHINE, LIMIT = (
    block.text for block in BLOCKS if block.page == "docs/guides/nginx.md" and block.language == "nginx"
)


def changed(text: str, changes: Mapping[str, str]) -> str:
    """The text with each of these replaced; all must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def run_nginx(
    site: str, *, port: int, folder: Path, machine: str = "events { }"
) -> AbstractContextManager[servers.Server]:
    """Run nginx with what would be included in its block `http`. It writes nowhere but into the folder."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    head = f"daemon off;\nworker_processes 1;\npid {folder / 'nginx.pid'};\nerror_log stderr;\n{machine}\n"
    path = folder / "nginx.conf"
    path.write_text(f"{head}http {{\naccess_log off;\n{places}{site}\n}}\n")
    command = [servers.find_program("nginx", "/usr/sbin/nginx"), "-c", str(path), "-e", "stderr"]
    return servers.run_server("nginx", command, port=port, log_path=folder / "nginx.log")
