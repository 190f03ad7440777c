"""The README's first session by typed clients that are generated from docs/openapi.json."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.synth import synthesise
from tests.clients.tools import HERE, OPENAPI, node_tools, python_tools, run
from tests.servers.beatledger import Beatledger


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's song."""
    path = tmp_path_factory.mktemp("song") / "song.wav"
    path.write_bytes(synthesise("edm", 128, 60).wav())
    return path


def token(up: Beatledger) -> str:
    """Return a token for Ada as the README gets it."""
    return up.cli("token", "--role", "producer", "--role", "auditor", "--name", "Ada").stdout.strip()


def test_a_generated_python_client_runs_the_first_session(
    own_up: Beatledger, song: Path, tmp_path: Path
) -> None:
    tools = python_tools()
    client = tmp_path / "client"
    generated = run(
        tools / "openapi-python-client",
        "generate",
        "--path",
        OPENAPI,
        "--output-path",
        client,
        "--fail-on-warning",
        path=tools,
    )
    assert "warning" not in generated.lower()
    shutil.copy(HERE / "session.py", client)
    told = run(tools / "python", "session.py", own_up.url, token(own_up), song, cwd=client)
    assert told == "the session is complete\n"


def test_a_typescript_client_with_generated_types_runs_the_first_session(
    own_up: Beatledger, song: Path, tmp_path: Path
) -> None:
    """Its types are checked strictly before it runs."""
    (tmp_path / "node_modules").symlink_to(node_tools() / "node_modules")
    for name in ("package.json", "tsconfig.json", "session.ts"):
        shutil.copy(HERE / name, tmp_path)
    programs = tmp_path / "node_modules" / ".bin"
    types = ("--default-non-nullable", "false", "-o", "schema.d.ts")
    run(programs / "openapi-typescript", OPENAPI, *types, cwd=tmp_path)
    run(programs / "tsc", "--project", ".", cwd=tmp_path)
    told = run("node", "out/session.js", own_up.url, token(own_up), song, cwd=tmp_path)
    assert told == "the session is complete\n"
