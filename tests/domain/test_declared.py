"""Values made in Python are held to what their types declare."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.declared import as_declared, one_of
from tunesmith.domain.trading import Cash, Costs
from tunesmith.errors import Invalid


def test_right_values_come_back_in_their_declared_types() -> None:
    given = Costs(fee_rate=np.float64(0.25), fixed_fee=np.int64(2))  # type: ignore[arg-type]
    costs = as_declared(given, Costs, "/costs")
    assert costs == Costs(fee_rate=0.25, fixed_fee=2.0)
    assert [type(value) for value in (costs.fee_rate, costs.fixed_fee)] == [float, float]
    assert as_declared(np.float32(2.0), Cash, "/cash") == 2.0


@pytest.mark.parametrize(
    ("value", "kind", "path"),
    [
        (Costs(fee_rate=-1), Costs, "/costs/fee_rate"),
        (Costs(fee_rate=0.5), Costs, "/costs/fee_rate"),
        (Costs(slippage_rate=float("nan")), Costs, "/costs/slippage_rate"),
        (Costs(fixed_fee=float("inf")), Costs, "/costs/fixed_fee"),
        (Costs(fixed_fee="free"), Costs, "/costs/fixed_fee"),  # type: ignore[arg-type]
        ({"fee": 0.1}, Costs, "/costs"),
        (ApprovalCriteria(min_trades=2.5), ApprovalCriteria, "/costs/min_trades"),  # type: ignore[arg-type]
        (0.999, Cash, "/costs"),
        (5e-324, Cash, "/costs"),
        (10**400, Cash, "/costs"),
    ],
)
def test_a_broken_bound_is_refused_with_the_path_of_its_field(value: Any, kind: Any, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        as_declared(value, kind, "/costs")
    assert caught.value.path == path


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()))
def test_any_fee_is_a_fraction_or_refused(fee: Any) -> None:
    with suppress(Invalid):
        assert 0.0 <= as_declared(Costs(fee_rate=fee), Costs, "/costs").fee_rate < 0.5


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("lng", "'lng' is no direction; did you mean 'long'"),
        ("LONG", "did you mean 'long'"),
        ("x", "'x' is no direction; there are long, short"),
        (None, "None is no direction"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_right_one(value: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        one_of(value, ("long", "short"), "direction", "/direction")
    assert caught.value.path == "/direction"
