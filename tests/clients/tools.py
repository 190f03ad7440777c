"""The generators of typed clients: installed from their registries once, into the cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OPENAPI = HERE.parents[1] / "docs" / "openapi.json"
INSTALL_S = 300.0


def run(*words: str | Path, cwd: Path | None = None, path: Path | None = None) -> str:
    """Run a program, with a folder before all others on PATH; returns its output, fails with it."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=INSTALL_S,
    )
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def python_tools() -> Path:
    """Return the programs' folder of an environment with openapi-python-client and its clients' imports."""
    return _installed(HERE / "requirements.lock", _install_python) / "bin"


def node_tools() -> Path:
    """Return a folder whose node_modules hold openapi-typescript, openapi-fetch and TypeScript."""
    if "CI" not in os.environ and shutil.which("npm") is None:
        pytest.skip("node and npm must be on PATH")
    return _installed(HERE / "package.json", _install_node)


def _install_python(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", HERE / "requirements.lock")


def _install_node(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(HERE / "package.json", folder)
    run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)


def _installed(manifest: Path, install: Callable[[Path], None]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beatledger"
    cache.mkdir(parents=True, exist_ok=True)
    # An environment works in the place and with the Python that it was made in and with.
    digest = hashlib.sha256(manifest.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache / f"clients-{manifest.stem}-{digest}"
    done = folder / ".installed"
    with (cache / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            done.touch()
    return folder
