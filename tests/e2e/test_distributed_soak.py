"""Two hundred rounds of faults under load, an audit every ten; what came of them is written into docs/."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.distributed import SHORT, editors_of, tracks_of
from tests.servers.audit import Audited, audit
from tests.servers.clients import Uploader, working
from tests.servers.faults import FAULTS, killed, paused
from tests.servers.installation import OwnInstallation, own_installation

REPORT = Path(__file__).parents[2] / "docs" / "soak-distributed.md"
BLOCKS, ROUNDS, FAULTS_A_ROUND = 20, 10, 4
OUTAGES = ("kafka", "mongo", "postgres")
OUTAGE_S = 60.0


@dataclass
class Report:
    """What this run did so far, and what the audits found."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    done: Counter[str] = field(default_factory=Counter[str])
    audits: dict[int, Audited] = field(default_factory=dict[int, Audited])
    failed: dict[int, str] = field(default_factory=dict[int, str])
    loads: list[float] = field(default_factory=list[float])

    def write(self) -> None:
        minutes = (datetime.now(UTC) - self.began).total_seconds() / 60
        total = [sum(getattr(a, name) for a in self.audits.values()) for name in Audited.__dataclass_fields__]
        blocks = sorted({*self.audits, *self.failed})
        lines = [
            "# The distributed profile under two hundred rounds of faults",
            "",
            "Written by `make soak` (tests/e2e/test_distributed_soak.py): clients rename and upload without",
            f"pause while, in each round, {FAULTS_A_ROUND} faults drawn by its seed befall an installation",
            "with servers of its own. After ten rounds all is compared with the event store",
            "(tests/servers/audit.py), and the next block begins with a new installation.",
            "",
            f"- begun {self.began:%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes, {os.cpu_count()} cores,",
            f"  load average {min(self.loads):.0f} to {max(self.loads):.0f}",
            f"- rounds: {ROUNDS * len(blocks)} of {ROUNDS * BLOCKS}, seeds {ROUNDS * blocks[0]} to "
            f"{ROUNDS * blocks[-1] + ROUNDS - 1}",
            f"- audits passed: {len(self.audits)}, failed: {len(self.failed)}",
            "- audited: {} events, {} of their records repeated in Kafka, {} renames and {} uploads "
            "acknowledged".format(*total),
            "",
            "| what was done | times |",
            "|---|---|",
            *(f"| {name} | {count} |" for name, count in sorted(self.done.items())),
            "",
            *(f"- block {block} failed: {error}" for block, error in self.failed.items()),
        ]
        REPORT.write_text("\n".join(lines).rstrip() + "\n")


@pytest.fixture(scope="module")
def report() -> Report:
    return Report()


@pytest.fixture
def own(migrated_folder: Path, tmp_path: Path) -> Iterator[OwnInstallation]:
    with own_installation(migrated_folder, tmp_path) as installation:
        yield installation


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_ten_rounds_of_faults_lose_and_repeat_nothing(
    own: OwnInstallation, report: Report, block: int
) -> None:
    """Every third block has, besides, a server away for a minute."""
    try:
        report.audits[block] = _play(own, report, block)
    except BaseException as error:
        report.failed[block] = f"{type(error).__name__}: {str(error)[:300]}"
        raise
    finally:
        report.loads.append(os.getloadavg()[0])
        report.write()


def _play(own: OwnInstallation, report: Report, block: int) -> Audited:
    tracks = tracks_of(own, f"block {block}", 3)
    editors = editors_of(own, f"block {block}", tracks, 0.1)
    uploader = Uploader(own, f"block {block}, uploader", SHORT, 1.0)
    with working([*editors, uploader]):
        for seed in range(block * ROUNDS, (block + 1) * ROUNDS):
            _round(own, random.Random(seed), report.done)
        if block % 3 == 0:
            _outage(own, block // 3, report.done)
        own.restore()
    renamed = {title: at for editor in editors for title, at in editor.acknowledged.items()}
    return audit(own, renamed, tracks | uploader.accepted)


def _round(own: OwnInstallation, chance: random.Random, done: Counter[str]) -> None:
    for name in chance.sample(sorted(FAULTS), FAULTS_A_ROUND):
        time.sleep(chance.uniform(0.1, 1.0))
        FAULTS[name](own, chance)
        done[name] += 1


def _outage(own: OwnInstallation, number: int, done: Counter[str]) -> None:
    name, away = OUTAGES[number % 3], (killed, paused)[number % 2]
    with away(getattr(own.servers, name)):
        time.sleep(OUTAGE_S)
    done[f"{name} {away.__name__} for a minute"] += 1
