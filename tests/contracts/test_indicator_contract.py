"""Every registered indicator keeps the laws of `indicator_checks`; a new one is tested by being registered."""

from __future__ import annotations

import pytest

from contracts import indicator_checks as checks
from tunesmith.compute.indicators.declaration import Indicator
from tunesmith.compute.indicators.registry import INDICATORS

NAMES = [name for name in INDICATORS if name not in checks.WITHOUT_LOOK_BACK]
ALL = pytest.mark.parametrize("indicator", INDICATORS.values(), ids=INDICATORS)
ON_ITS_OWN_BARS = pytest.mark.parametrize("indicator", [INDICATORS[name] for name in NAMES], ids=NAMES)


@ALL
def test_it_is_declared_in_full(indicator: Indicator) -> None:
    checks.check_declaration(indicator)


@ON_ITS_OWN_BARS
def test_it_is_defined_from_its_look_back_on(indicator: Indicator) -> None:
    checks.check_look_back(indicator)


@ALL
def test_it_equals_the_slow_reference(indicator: Indicator) -> None:
    checks.check_against_reference(indicator)


@ON_ITS_OWN_BARS
def test_it_sees_nothing_ahead(indicator: Indicator) -> None:
    checks.check_no_look_ahead(indicator)


@ALL
def test_its_rows_are_the_same_in_any_company(indicator: Indicator) -> None:
    checks.check_company(indicator)
