"""All benchmarks, one after another: `make bench`. Each prints its tables of docs/benchmarks.md."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "append",
    "catchup",
    "visible",
    "distributed",
    "snapshot_load",
    "streams",
    "upload",
    "analysis",
    "throughput",
)


def main() -> None:
    """Run each in a process of its own, so that none is warmed or slowed by another."""
    for name in NAMES:
        print(f"\n## {name}: python -m bench.{name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)


if __name__ == "__main__":
    main()
