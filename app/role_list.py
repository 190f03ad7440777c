"""The roles of the product's processes: name, loops and readiness of each in one entry.

To add one: append a `Role` to ROLES; `manager` returns its process manager (commands/following.py), if it has
one, which is then run, watched by readiness and listed by `beatledger processes`.
The distributed profile runs a role a process, the embedded one all of them in its one.
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
"""The role of the distributed profile alone: it needs Postgres and Kafka, not the application."""

Loop = Callable[[], Coroutine[Any, Any, None]]


def _no_loops(application: Application) -> Sequence[Loop]:
    return ()


@dataclass(frozen=True, slots=True)
class Role:
    """What a process does. `needs` returns what it must reach to be ready, besides following the log."""

    name: str
    needs: Callable[[Application], Readiness]
    loops: Callable[[Application], Sequence[Loop]] = _no_loops
    manager: Callable[[Ports, AnalysisWorker], ProcessManager[Any]] | None = None


# Imported when they are asked for: the command line reads the names alone.
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


ROLES = (
    Role("api", _api),
    Role("projector", _projector, loops=lambda application: (application.projections.run,)),
    Role(
        "analysis",
        _store_and_artefacts,
        loops=lambda application: (application.worker.run,),
        manager=_analyses,
    ),
    Role("rollout", _store, manager=_rollouts),
)

BY_NAME = {role.name: role for role in ROLES}
EMBEDDED = tuple(role.name for role in ROLES)
DISTRIBUTED = ("api", RELAY, *EMBEDDED[1:])
