"""The rollout process manager: it follows the log until deployments have events.

No event of a deployment is registered yet, so there is nothing to decide: an unknown event of a newer
version parks its key until that version replays it.
"""

from __future__ import annotations

from commands.following import Cause, ProcessManager
from commands.issue import Caller
from domain.events import REGISTRY
from domain.recorded import Recorded

GROUP = "rollout"
CATEGORIES = frozenset({"deployment", "member", "device", "lease"})
ROLLOUT = Caller("service:rollout", frozenset({"service"}))


def evolve(state: None, recorded: Recorded) -> None:
    """Return no state. Raises UnknownEvent."""
    REGISTRY.decode(recorded)


def react(state: None, cause: Cause) -> tuple[()]:
    """Do nothing."""
    return ()


ROLLOUTS = ProcessManager(
    name=GROUP,
    categories=CATEGORIES,
    types=None,
    caller=ROLLOUT,
    initial=None,
    evolve=evolve,
    react=react,
)
