"""The roles of beatledger's processes: one entry has a role's name, loops and readiness.

To add one: append a `ProcessEntry` to ROLES. If it has a process manager (commands/following.py), `manager`
returns it; the role then runs it, readiness checks it, and `beatledger processes` lists it.
The distributed profile runs each role in a process of its own, the embedded profile all in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.rest.health import Readiness
    from app.bootstrap import Application
    from app.ports import Ports
    from commands.analysis.worker import AnalysisWorker
    from commands.following import ProcessManager

RELAY = "relay"
"""A role of the distributed profile only: it needs Postgres and Kafka, but not the application."""

Loop = Callable[[], Coroutine[Any, Any, None]]


def _no_loops(application: Application) -> Sequence[Loop]:
    return ()


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """The work of one role. `needs` returns the checks of its readiness, besides following the log."""

    name: str
    needs: Callable[[Application], Readiness]
    loops: Callable[[Application], Sequence[Loop]] = _no_loops
    manager: Callable[[Ports, AnalysisWorker], ProcessManager[Any]] | None = None


# Imported on use, because the command line reads only the names.
def _api(application: Application) -> Readiness:
    from app import readiness as r

    ports = application.ports
    return {**r.store_ready(ports), **r.artefacts_ready(ports), **r.views_served(application.views)}


def _projector(application: Application) -> Readiness:
    from app import readiness as r

    views = application.views
    return {**r.store_ready(application.ports), **r.views_served(views), **r.views_follow(views)}


def _store(application: Application) -> Readiness:
    from app import readiness as r

    return r.store_ready(application.ports)


def _store_and_artefacts(application: Application) -> Readiness:
    from app import readiness as r

    return {**r.store_ready(application.ports), **r.artefacts_ready(application.ports)}


def _analyses(ports: Ports, worker: AnalysisWorker) -> ProcessManager[Any]:
    from commands.analysis.consumer import analyses

    return analyses(ports.jobs, worker)


def _rollouts(ports: Ports, worker: AnalysisWorker) -> ProcessManager[Any]:
    from commands.rollout import ROLLOUTS

    return ROLLOUTS


def _watches_clock(application: Application) -> Sequence[Loop]:
    from app.clock_watch import watch_clock

    return (lambda: watch_clock(application.ports.events),)


ROLES = (
    ProcessEntry("api", _api, loops=_watches_clock),
    ProcessEntry("projector", _projector, loops=lambda application: (application.projections.run,)),
    ProcessEntry(
        "analysis",
        _store_and_artefacts,
        loops=lambda application: (application.worker.run,),
        manager=_analyses,
    ),
    ProcessEntry("rollout", _store, manager=_rollouts),
)

BY_NAME = {role.name: role for role in ROLES}
EMBEDDED = tuple(role.name for role in ROLES)
DISTRIBUTED = ("api", RELAY, *EMBEDDED[1:])
