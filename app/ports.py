"""The ports of a profile: one adapter for each, chosen in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from api.security.guard import Accounts
from commands.analysis.ports import Analyser, JobQueue
from commands.ports import Artefacts, Snapshots
from commands.process_ports import ProcessPorts
from domain.log import EventStore, Log
from projections.documents import DocumentStore


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port with its open adapter."""

    events: EventStore
    log: Log
    snapshots: Snapshots
    documents: DocumentStore
    jobs: JobQueue
    processes: ProcessPorts
    accounts: Accounts
    artefacts: Artefacts
    analyser: Analyser
    incoming: Path
    secret: str
