"""The table of task types: how each kind of task is named, asked for, watched and cancelled over the wire.

The daemon's record of a kind (`services/tasks/task_kinds`) holds its row of this table, and the command line reads the
same row, so that both know the same kinds.
"""

from __future__ import annotations

from typing import NamedTuple


class TaskType(NamedTuple):
    """One row. The id of every task of the kind begins with `prefix`; `id_field` names that id in its messages.

    `start`, `status`, `results` and `cancel` are message types. `results` answers what came of a task; `cancel` is None
    for a kind that nobody needs to cancel, because it ends in seconds.
    """

    name: str
    prefix: str
    id_field: str
    start: str
    status: str
    results: str
    cancel: str | None = "task.cancel"

    def named(self, task_id: str, message_type: str) -> dict[str, str]:
        """The data of a request of `message_type` about one task: `task.…` messages name any task `task_id`."""
        return {"task_id" if message_type.startswith("task.") else self.id_field: task_id}


BACKTEST = TaskType(
    "backtest", "bt-", "task_id", "backtest.start", "backtest.status", "backtest.status", "backtest.cancel"
)
OPTIMIZATION = TaskType(
    "optimization",
    "opt-",
    "optimization_id",
    "optimization.start",
    "optimization.status",
    "optimization.results",
    "optimization.cancel",
)
SESSION = TaskType(
    "session", "session_", "session_id", "session.execute", "session.status", "session.results", "session.cancel"
)
WALK_FORWARD = TaskType(
    "walkforward", "wf-", "walkforward_id", "walkforward.start", "walkforward.status", "walkforward.status"
)
VERDICT = TaskType("verdict", "vd-", "verdict_id", "strategy.approve", "verdict.status", "verdict.get", None)
REPLAY = TaskType("replay", "re-", "task_id", "verdict.replay", "replay.status", "replay.status")

TASK_TYPES: dict[str, TaskType] = {
    row.name: row for row in (OPTIMIZATION, BACKTEST, VERDICT, REPLAY, SESSION, WALK_FORWARD)
}
"""Every kind of task by its name."""


def task_type_of(task_id: str) -> TaskType | None:
    """The type whose prefix an id begins with; None for an id that is no task's."""
    return next((row for row in TASK_TYPES.values() if task_id.startswith(row.prefix)), None)
