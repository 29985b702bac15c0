"""Every metric of the table keeps the contract."""

from __future__ import annotations

import pytest

from contracts import metric_checks as checks
from tunesmith.domain.metrics import METRICS


@pytest.mark.parametrize("name", METRICS)
def test_it_is_explained_and_equals_the_slow_reference(name: str) -> None:
    checks.check_declaration(METRICS[name])
    checks.check_against_reference(METRICS[name])
