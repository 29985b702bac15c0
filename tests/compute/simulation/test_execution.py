"""The terms of an evaluation refuse what no request could hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from tunesmith.compute.simulation.execution import Execution
from tunesmith.domain.trading import Costs, Direction, Fill
from tunesmith.errors import Invalid
from tunesmith.protocol.messages.markets import MarketRequest


@pytest.mark.parametrize(
    ("terms", "path", "says"),
    [
        ({"direction": "lng"}, "/direction", "did you mean 'long'"),
        ({"fill": "clos"}, "/fill", "did you mean 'close'"),
        ({"fill": None}, "/fill", "there are next_open, close"),
        ({"costs": Costs(fee_rate=-1)}, "/costs/fee_rate", "-1"),
        ({"costs": Costs(fee_rate=float("nan"))}, "/costs/fee_rate", "nan"),
        ({"costs": Costs(slippage_rate=0.5)}, "/costs/slippage_rate", "0.5"),
        ({"costs": None}, "/costs", "None"),
        ({"initial_cash": -5}, "/initial_cash", "-5"),
        ({"initial_cash": float("nan")}, "/initial_cash", "nan"),
        ({"initial_cash": 5e-324}, "/initial_cash", "5e-324"),
        ({"initial_cash": 1e16}, "/initial_cash", r"1e\+16"),
    ],
)
def test_what_cannot_be_is_refused(terms: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        Execution(**terms)
    assert caught.value.path == path
    with pytest.raises(Invalid):
        replace(Execution(), **terms)


@pytest.mark.parametrize("fill", get_args(Fill))
@pytest.mark.parametrize("direction", get_args(Direction))
def test_whatever_a_request_may_hold_can_be_executed(fill: Fill, direction: Direction) -> None:
    request = MarketRequest(fill=fill, direction=direction, initial_cash=1.0, costs=Costs(fee_rate=0.49))
    assert request.costs is not None
    terms = Execution(request.costs, request.fill, request.direction, request.initial_cash)
    assert (terms.costs, terms.fill, terms.direction, terms.initial_cash) == (Costs(fee_rate=0.49), fill, direction, 1)


def test_numpy_scalars_become_plain_numbers() -> None:
    assert type(Execution(initial_cash=np.float64(5)).initial_cash) is float
