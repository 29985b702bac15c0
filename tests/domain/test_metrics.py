"""The metrics table: complete rows, and who gives which of them."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.compute.measures.account_metrics import metrics_of
from tunesmith.compute.measures.path_kernel import N_PATH
from tunesmith.compute.simulation.arrays import N_TOTALS
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS, PATH_METRICS, TARGET_ALIASES, Metric, search_metrics


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_row_says_how_it_is_computed_in_what_unit_and_after_whom(metric: Metric) -> None:
    assert metric.name.isidentifier()
    assert all(metric[: Metric._fields.index("compute")])
    assert metric.compute is None or metric.basis == "path"
    assert metric.direction in ("maximize", "minimize")


def test_the_account_and_the_path_give_the_table_between_them() -> None:
    assert (*ACCOUNT_METRICS, *PATH_METRICS) == tuple(METRICS)
    assert tuple(metrics_of(np.ones((1, N_TOTALS)), 2, 365.0, 1.0)) == ACCOUNT_METRICS
    assert len(PATH_METRICS) == N_PATH


def test_a_name_means_one_metric() -> None:
    assert set(TARGET_ALIASES.values()) <= set(METRICS)
    assert not set(TARGET_ALIASES) & set(METRICS)


def test_a_search_computes_the_accounts_metrics_and_what_it_reads() -> None:
    assert search_metrics(()) == search_metrics(("sharpe",)) == ACCOUNT_METRICS
    assert search_metrics({"skew", "omega", "sharpe"}) == (*ACCOUNT_METRICS, "omega", "skew")
