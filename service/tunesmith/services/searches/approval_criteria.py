"""What the settings ask of an approval."""

from __future__ import annotations

import msgspec

from tunesmith.config import Settings
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.thresholds import Thresholds


def default_criteria(settings: Settings) -> ApprovalCriteria:
    """The approval criteria of the settings."""
    decision = settings.decision
    return ApprovalCriteria(**{name: getattr(decision, name) for name in ApprovalCriteria.__struct_fields__})


def default_thresholds(settings: Settings) -> Thresholds:
    """The statistics' thresholds of the settings."""
    return msgspec.convert(msgspec.to_builtins(settings.statistics), Thresholds)
