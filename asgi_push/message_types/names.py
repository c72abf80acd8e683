"""The names of schemas in a document. Pure."""

import re
from collections.abc import Container

# AsyncAPI takes a few more characters, and languages for which types are made do not.
_ODD = re.compile(r"[^A-Za-z0-9]")


def unique(name: str, taken: Container[str]) -> str:
    """Return a name, or with a number at its end if it is taken."""
    found = name
    number = 2
    while found in taken:
        found = f"{name}{number}"
        number += 1
    return found


def identifier(text: str, otherwise: str) -> str:
    """Return a text as a name; ``otherwise`` if nothing of it can be in one."""
    found = _ODD.sub("_", text)
    return found if found.strip("_") else otherwise


def without_dash(name: str) -> str:
    """Return MoveInput for Move-Input: Pydantic's name is no name in most languages."""
    return name.replace("-Input", "Input").replace("-Output", "Output")
