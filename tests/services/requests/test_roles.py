"""What a bot may not do, however it asks."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.errors import Forbidden
from tunesmith.protocol.catalog import Call
from tunesmith.protocol.messages.optimizations import StartOptimization
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches import optimization_requests


def test_a_bot_cannot_approve_by_way_of_a_search() -> None:
    request = StartOptimization(symbol="A/B", strategy_id="x", approve=ApprovalCriteria())
    call = Call("optimization.start", "1", "ann", "bot", "requests", 0.0)
    with pytest.raises(Forbidden) as caught:
        asyncio.run(optimization_requests.start(cast(Context, None), request, call))
    assert caught.value.path == "/data/approve"
