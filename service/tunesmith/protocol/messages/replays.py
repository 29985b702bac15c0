"""Messages about replays: a stored decision made again from its evidence."""

from __future__ import annotations

from typing import Any

import msgspec

from tunesmith.domain.names import GivenLabel, Id
from tunesmith.protocol.envelope import Reply, Request, TaskStatus
from tunesmith.protocol.messages.packages import PackageId


class ReplayVerdict(Request, frozen=True, kw_only=True):
    """`verdict.replay`: make the decision again that a verdict, or a package's verdict, came to; give one of the two.

    No look is counted, and no hold-out is used up.
    """

    verdict_id: Id | None = None
    package_id: PackageId | None = None
    label: GivenLabel = msgspec.UNSET


class ReplayStatus(Request, frozen=True, kw_only=True):
    """`replay.status`."""

    task_id: Id


class Difference(Reply, frozen=True, kw_only=True):
    """A value of the evidence that came out otherwise; `was` and `found` are null where they may not be shown."""

    path: str
    was: Any
    found: Any


class ReplayReply(Reply, frozen=True, kw_only=True):
    """`equal` once it is known: whether all of `n_compared` values are the same to the bit.

    `changed` says in words what is not as it was: the bars, the program. On other bars nothing is compared.
    """

    task_id: str
    verdict_id: str
    status: TaskStatus
    progress: float
    equal: bool | None = None
    n_compared: int = 0
    differences: list[Difference] = []
    changed: list[str] = []
    error: dict[str, Any] | None = None
    label: str | None = None
