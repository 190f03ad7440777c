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
_NEEDED_OF_ROOT = {"chown": 0, "dac_override": 1, "kill": 5, "setgid": 6, "setuid": 7}
"""Capabilities, with their numbers, to give files to nobody, become nobody, reach its socket and end it."""
_READ_SEARCH = 2


def server_user() -> tuple[int, int]:
    """Return the uid and gid that Postgres gets here; raises CannotStart for a root without the means."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if missing := [name for name, number in _NEEDED_OF_ROOT.items() if not _holds(number)]:
        names = ", ".join(f"CAP_{name.upper()}" for name in missing)
        raise CannotStart(
            f"Postgres refuses to run as root, and this root lacks {names} to run it as nobody: "
            "allow them, or start beatledger as another user"
        )
    return NOBODY, NOBODY


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
        uid, gid = server_user()
        capabilities = f"-all{_to_pass_through(program, folders)}"
        words += ["--reuid", str(uid), "--regid", str(gid), "--clear-groups"]
        words += ["--inh-caps", capabilities, "--ambient-caps", capabilities]
    return [*words, "--", str(program)]


def _to_pass_through(program: Path, folders: tuple[Path, ...]) -> str:
    if not _open_to_all(program):
        return ",+dac_override"  # reading past a folder is not running a file that only root may run
    if all(_open_to_all(parent) for path in (program, *folders) for parent in path.parents):
        return ""
    # The weaker one where we have it; Docker gives its containers only the other.
    return ",+dac_read_search" if _holds(_READ_SEARCH) else ",+dac_override"


def _open_to_all(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o001)


def _holds(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    held = (int(status.split(f"{kind}:")[1].split()[0], 16) for kind in ("CapBnd", "CapPrm"))
    return all(bits & (1 << capability) for bits in held)
