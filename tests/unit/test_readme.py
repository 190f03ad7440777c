"""The README's tables of settings and targets agree with the code."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from app.settings import Distributed, Embedded, Migration, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def documented() -> list[dict[str, str]]:
    """Return the defaults by variable, as written, of each of the three tables."""
    tables = README.partition("\n## Settings\n")[2].partition("\n## ")[0].split("\n\n")
    rows = [re.findall(r"^\| `BEATLEDGER_([A-Z_]+)` \| ([^|]+) \|", table, re.M) for table in tables]
    return [dict(found) for found in rows if found]


def default_of(kind: type[Settings], name: str) -> str:
    default = kind.model_fields[name].default
    if default is PydanticUndefined:
        return "required"
    return "none" if default in (None, ()) else f"`{default}`"


def test_the_readme_lists_every_setting_with_its_default():
    expected: list[dict[str, str]] = []
    listed: set[str] = set()
    for kind in (Embedded, Distributed, Migration):
        names = [name for name in kind.model_fields if name not in listed]
        listed.update(names)
        expected.append({name.upper(): default_of(kind, name) for name in names})
    # These defaults depend on the machine and on the profile.
    expected[0] |= {"ANALYSIS_WORKERS": "number of cores", "SECRET": "required if distributed"}
    assert documented() == expected


def test_each_make_command_of_the_readme_is_a_target_with_a_help_text():
    targets = set(re.findall(r"^([a-z.]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z.]+)", README, re.M))
    assert {"install", "quick", "test"} <= named <= targets
