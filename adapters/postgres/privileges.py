"""As whom Postgres runs: it refuses root, so a root process starts it as `nobody`, with only what it needs.

Below a folder that `nobody` can't traverse (mkdtemp as root makes such folders) it gets one ambient
capability to pass through. The permissions of parents are never opened: they protect what else lies there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from adapters.postgres.cannot_start import CannotStart

NOBODY = 65534
_READ_SEARCH, _OVERRIDE = ("dac_read_search", 2), ("dac_override", 1)
"""Capabilities that let a process traverse any folder, with their numbers."""


def server_user() -> tuple[int, int]:
    """Return the uid and gid that Postgres gets here."""
    return (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def launch_words(program: Path, *folders: Path) -> list[str]:
    """Return the command words that run a Postgres program which must reach the folders.

    setpriv sets the parent-death signal last: the kernel clears it whenever credentials change. SIGINT, not
    SIGQUIT: a fast shutdown writes its checkpoint, so the next start has nothing to recover.
    Raises CannotStart.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise CannotStart("the embedded Postgres needs the `setpriv` of util-linux (≥ 2.33) on PATH")
    words = [setpriv, "--pdeathsig", "INT", "--no-new-privs"]
    if os.geteuid() == 0:
        words += ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        capabilities = ",".join(["-all", *_extra_capability(program, folders)])
        words += [f"--{kind}={capabilities}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    return [*words, "--", str(program)]


def _extra_capability(program: Path, folders: tuple[Path, ...]) -> list[str]:
    closed = [
        *(
            path
            for path in (*program.parents, *(p for f in folders for p in f.parents))
            if not _open_to_all(path)
        ),
        *([] if _open_to_all(program) else [program]),
    ]
    if not closed:
        return []
    # Reading past a folder is not running a file that only root may run.
    wanted = (_OVERRIDE,) if program in closed else (_READ_SEARCH, _OVERRIDE)
    held = _held_capabilities()
    for name, number in wanted:
        if held & (1 << number):
            return [f"+{name}"]
    raise CannotStart(
        f"Postgres would run as user nobody, who can't pass through {closed[0]}: run as another user than "
        "root, choose a --data-dir that others may traverse, or allow CAP_DAC_OVERRIDE"
    )


def _open_to_all(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o001)


def _held_capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    bounding, permitted = (int(status.split(f"{kind}:")[1].split()[0], 16) for kind in ("CapBnd", "CapPrm"))
    return bounding & permitted
