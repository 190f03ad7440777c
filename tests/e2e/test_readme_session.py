"""The README's first session runs as it is written and gives the answers it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers.beatledger import Beatledger

README = Path(__file__).parents[2] / "README.md"
END = "end-of-block"


def blocks() -> list[tuple[str, Any]]:
    """Return each shell block of the session with the answer shown below it, if any."""
    session = README.read_text().partition("\n## A first session\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```\n)?", session, re.M | re.S)
    return [(commands, json.loads(answer) if answer else None) for commands, answer in found]


def matches(shown: Any, real: Any) -> bool:
    """Compare a real answer with the shown one: `…` ends a text or stands for the rest of a container."""
    if isinstance(shown, dict):
        rest = "…" in shown
        shown = {key: value for key, value in shown.items() if key != "…"}
        return (shown.keys() <= real.keys() if rest else shown.keys() == real.keys()) and all(
            matches(value, real[key]) for key, value in shown.items()
        )
    if isinstance(shown, list):
        rest = shown[-1:] == ["…"]
        shown = shown[:-1] if rest else shown
        return (len(shown) < len(real) if rest else len(shown) == len(real)) and all(
            map(matches, shown, real)
        )
    if isinstance(shown, str) and shown.endswith("…"):
        return isinstance(real, str) and bool(real)
    if isinstance(shown, float):
        return real == pytest.approx(shown, rel=0.001)
    return shown == real


def test_the_first_session_gives_the_answers_that_the_readme_shows(own_up: Beatledger, tmp_path: Path):
    session = blocks()
    script = "".join(f"{commands}\necho; echo {END}\n" for commands, _ in session)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("http://127.0.0.1:8000", own_up.url)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BEATLEDGER_DATA_DIR": str(own_up.folder),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split(f"{END}\n")[:-1]
    shown = [
        (json.loads(answer), sample) for answer, (_, sample) in zip(answers, session, strict=True) if sample
    ]
    assert len(shown) >= 8
    assert [(real, sample) for real, sample in shown if not matches(sample, real)] == []


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "…": "…"}, {"b": 2}),
        ([1, 2], [1, 2, 3]),
        ([1, 2, "…"], [1, 3, 4]),
        ("ab…", None),
        (1.0, 1.1),
        ("x", "y"),
    ],
)
def test_an_answer_that_differs_is_noticed(shown: Any, real: Any):
    assert not matches(shown, real)
