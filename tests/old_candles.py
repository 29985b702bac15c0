"""What tests say of their candles: they are made up, or recorded, and ended years ago."""

from __future__ import annotations

from typing import Any


def accepting(message_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data of a request, which accepts old candles where it asks for a verdict and says nothing of them itself."""
    if message_type == "strategy.approve":
        return {"accept_old_data": True, **data}
    if isinstance(data.get("approve"), dict):
        return {**data, "approve": {"accept_old_data": True, **data["approve"]}}
    return data
