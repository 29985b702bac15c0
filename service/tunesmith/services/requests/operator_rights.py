"""What of a request is for operators, though others may send the rest, and whether who sent it still is one.

A look at a hold-out makes a market undecidable for everybody, a priority better than the usual one delays everybody,
and an approval may publish. Such requests of operators are entered in the audit log with what they used. Key and role
are asked for again in the transaction that makes an operator's change: who was revoked meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tunesmith.config import Settings
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import CRITERIA
from tunesmith.errors import Forbidden
from tunesmith.protocol.catalog import MESSAGES, Call
from tunesmith.protocol.envelope import Request
from tunesmith.services.runtime.context import Context

USUAL_PRIORITY = 5
"""A priority below this one comes before everybody else's work."""


class Right(NamedTuple):
    """An option of a request that is for operators: its `field`, and in words what was asked for."""

    field: str
    told: str


_IN_USE: dict[str, Callable[[Any], str]] = {
    "use_holdout": lambda value: "use_holdout" if value else "",
    "priority": lambda value: f"priority {value}" if value < USUAL_PRIORITY else "",
    "approve": lambda value: "approve" if value is not None else "",
}
"""Field → what is told of the right that its value asks for; nothing where anybody may send it."""


def rights_used(request: Request) -> list[Right]:
    """The options in a request that are for operators."""
    found = [Right(name, told(getattr(request, name))) for name, told in _IN_USE.items() if hasattr(request, name)]
    return [right for right in found if right.told]


def needs_operator(message_type: str, request: Request) -> bool:
    """Whether a request that changes something is an operator's act, by its type or by what it asks for."""
    message = MESSAGES[message_type]
    return message.changes and (message.role == "operator" or bool(rights_used(request)))


def refuse_rights(request: Request, call: Call) -> None:
    """Raise `Forbidden` at the field of the first option that is for operators, where none sent it."""
    if call.role == "operator":
        return
    for right in rights_used(request):
        detail = f"{right.told} needs the role operator; {call.user} is a {call.role}"
        raise Forbidden(detail, path=f"/data/{right.field}")


def refuse_former_operator(context: Context, user: str) -> None:
    """Raise `Forbidden` for who is no operator any more; to be asked in the transaction that makes the change."""
    role = context.role_of(user)
    if role == "operator":
        return
    why = "has no key or token in force" if role is None else f"is a {role} by now"
    raise Forbidden(f"nothing was changed: this needs the role operator, and {user} {why}")


def told_rights(request: Request, settings: Settings) -> list[str]:
    """What the audit log says of an operator's request: the rights it used, and criteria looser than the settings'."""
    told = [right.told for right in rights_used(request)]
    for name in ("approve", "approval_criteria"):
        criteria = getattr(request, name, None)
        if isinstance(criteria, ApprovalCriteria):
            told += _loosened(criteria, settings)
    return told


def _loosened(criteria: ApprovalCriteria, settings: Settings) -> list[str]:
    """The criteria that ask less than the settings do."""
    told = []
    for name, _, at_least in CRITERIA:
        asked, usual = getattr(criteria, name), getattr(settings.decision, name)
        if asked is not None and (asked < usual if at_least else asked > usual):
            told.append(f"{name} {asked:g}, looser than the settings' {usual:g}")
    return told
