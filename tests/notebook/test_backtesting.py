"""The library face: studies of every kind of parameter, and arguments that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

import tunesmith as ts
from tunesmith.compute.engines.point_report import Report
from tunesmith.config import Settings
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.criteria import bounds
from tunesmith.domain.metrics import ACCOUNT_METRICS, METRICS, PATH_METRICS
from tunesmith.domain.search.stop_rules import StopRules
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Invalid
from tunesmith.notebook.backtesting import Table
from tunesmith.notebook.judging import Verdict
from tunesmith.notebook.study import MAX_POINTS, Study

CODE = """
n = Int(5, 2, 40)
width = Float(0.01, 0.001, 0.1, log=True)
mode = Choice("cross", ["level", "cross"])
scale = Choice(1.5, [0.5, 1.5])
patient = Bool(False)
line = sma(close, n)
upward = crossed_above(close, line)
enter_long((mode == "cross" and upward) or (mode == "level" and close > line * (1 + width * scale)))
exit_long(crossed_below(close, line) and (not patient or close < line * (1 - width)))
"""
RULE = ts.Strategy.parse(CODE, id="choosy")
RANGES = {"n": [3, 8, 20], "mode": ["level", "cross"], "scale": [0.5, 1.5], "patient": [True, False]}
FREE = ts.Costs(fee_rate=0.0)
LAX = ApprovalCriteria(
    min_sharpe=-1e9, max_drawdown=1.0, min_return=-1e9, min_trades=0, min_win_rate=0.0, min_profit_factor=0.0
)

FEW = Thresholds(n_permutations=199, max_permutations=399)


def wave(n: int, noise: float = 0.02) -> ts.Bars:
    """Hourly closes of slow waves with noise: many trades, most of which win without costs."""
    rng = np.random.default_rng(4)
    close = 100.0 * np.exp(0.1 * np.sin(np.arange(n) / 8.0) + noise * rng.standard_normal(n))
    open_ = np.concatenate([close[:1], close[:-1]])
    columns = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    stamps = 1_700_000_400_000 // 3_600_000 * 3_600_000 + np.arange(n, dtype=np.int64) * 3_600_000
    return ts.Bars.from_arrays(stamps, {**columns, "volume": np.ones(n)}, symbol="A/B", timeframe="1h")


BARS = wave(1500)
MA = ts.strategy("ma_cross_v1.0")


@pytest.fixture(scope="module")
def study() -> Study:
    return ts.optimize(RULE, BARS, RANGES, method="grid", costs=FREE, constraints=ApprovalCriteria(min_trades=1))


@pytest.fixture(scope="module")
def plain() -> Study:
    """A search of waves so clear that nobody doubts them."""
    return ts.optimize(RULE, wave(1500, noise=0.005), RANGES, method="grid", costs=FREE)


def test_the_best_point_keeps_the_type_of_every_parameter(study: Study) -> None:
    best = study.best_params
    assert best is not None
    assert {name: type(value) for name, value in best.items()} == {
        "n": int, "width": float, "mode": str, "scale": float, "patient": bool,
    }  # fmt: skip
    row = study.trials.iloc[study.best_index]
    assert best == {name: row[name] for name in best}
    assert study.best_score == study.trials.loc[study.trials.eligible, "sharpe"].max()


def test_an_analysis_of_a_study_is_of_its_trials(study: Study) -> None:
    report = ts.analyze(study, n=3)
    assert report.summary.best == study.best_index
    assert report.summary.best_score == study.best_score
    assert report.summary.best_params == study.best_params
    assert report.top[0].index == study.best_index
    assert report.next_search is not None
    again = ts.optimize(RULE, BARS, report.next_search.param_ranges, method="grid", costs=FREE)
    assert again.best_params == study.best_params
    lowest = ts.analyze(study, by="drawdown").summary.best_score
    assert lowest == study.trials.loc[study.trials.eligible, "max_drawdown"].min()
    for wrong in ({"target": 1}, {"by": "dradown"}, {"n": 0}):
        with pytest.raises(Invalid):
            ts.analyze(study, **wrong)


def test_the_best_point_computes_its_own_numbers_again(study: Study) -> None:
    report = ts.backtest(RULE, BARS, study.best_params, costs=FREE)
    assert report.disagreements == []
    assert report.params == study.best_params
    assert report.metrics["sharpe"] == study.best_score


def test_a_backtest_withholds_what_a_search_does_and_says_so(study: Study) -> None:
    report = ts.backtest(RULE, BARS, study.best_params, costs=FREE)
    assert report.withheld_from == study.split.boundary_ms
    assert report.timestamp[-1] == BARS.timestamp[study.split.in_stop - 1]
    in_sample = study.bars.slice(0, study.split.in_stop)
    cut = ts.backtest(RULE, in_sample, study.best_params, costs=FREE, use_holdout=True)
    assert (cut.withheld_from, cut.metrics, cut.trades) == (None, report.metrics, report.trades)
    whole = ts.backtest(RULE, BARS, study.best_params, costs=FREE, use_holdout=True)
    assert whole.timestamp[-1] == BARS.timestamp[-1]
    assert ts.backtest(RULE, BARS, holdout_share=0.5).timestamp[-1] < report.timestamp[-1]
    with pytest.raises(Invalid, match=f"hold-out, which begins at bar {study.split.in_stop}") as refused:
        ts.backtest(RULE, BARS, start=study.split.in_stop)
    assert refused.value.path == "/start"


def test_a_rule_with_short_entries_trades_both_sides_where_nobody_names_one() -> None:
    macd, params = ts.strategy("macd"), {"with_trend": False}
    both = ts.backtest(macd, BARS, params)
    assert both.direction == "both"
    assert both.metrics == ts.backtest(macd, BARS, params, direction="both").metrics
    assert {trade["side"] for trade in both.trades} == {"long", "short"}
    assert {trade["side"] for trade in ts.backtest(macd, BARS, params, direction="long").trades} == {"long"}
    table = ts.evaluate(macd, BARS, params)
    assert table.metrics["total_return"] == ts.evaluate(macd, BARS, params, direction="both").metrics["total_return"]
    assert ts.optimize(macd, BARS, {"fast": [12]}, constraints=["n_trades >= 0"]).execution.direction == "both"
    assert ts.backtest(MA, BARS).direction == "long"


def test_a_score_to_reach_of_several_targets_is_refused_as_the_daemon_refuses_it() -> None:
    for stop, path in ((StopRules(target=1.0), "/stop/target"), (StopRules(), "/stop")):
        with pytest.raises(Invalid) as refused:
            ts.optimize(MA, BARS, {"fast_period": [5]}, target=["sharpe", "drawdown"], stop=stop)
        assert refused.value.path == path


def test_a_study_of_choices_can_be_judged_and_nothing_guards_it(plain: Study) -> None:
    told: list[tuple[int, int]] = []
    verdict = ts.judge(plain, LAX, thresholds=FEW, progress=lambda done, total: told.append((done, total)))
    assert (verdict.status, verdict.guarded) == ("approved", False)
    assert "nothing guarded this decision" in verdict.reason
    assert {check.segment for check in verdict.checks} == {"data", "in_sample", "holdout", "all"}
    assert told[-1] == (199, 199)
    assert verdict.p["search"] == 1 / 200
    assert verdict.p["combined"] < 0.0035


def test_what_is_refused_in_sample_shows_nothing_of_the_holdout(plain: Study) -> None:
    strict = ts.judge(plain, ApprovalCriteria(min_return=1e6))
    assert strict.status == "rejected"
    assert {check.segment for check in strict.checks} == {"data", "in_sample"}
    assert strict.p == {}


def test_what_fails_on_the_holdout_is_told_without_its_numbers(plain: Study) -> None:
    refused = ts.judge(plain, LAX, thresholds=msgspec.structs.replace(FEW, min_holdout_trades=10**6))
    assert refused.status == "rejected"
    assert "it did not hold on bars that the search never saw; more is not told" in refused.reason
    assert [check.value for check in refused.checks if check.segment in ("holdout", "all")] == [None]
    assert set(refused.p) == {"search"}


def test_a_judgement_is_the_same_on_every_number_of_threads(plain: Study) -> None:
    verdicts = [ts.judge(plain, LAX, thresholds=FEW, seed=3, n_threads=n) for n in (1, 3)]
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].p["search"] == 1 / 200


def test_a_study_without_an_eligible_trial_has_no_best() -> None:
    none = ts.optimize(RULE, BARS, {"n": [3]}, constraints=ApprovalCriteria(min_trades=10**6))
    assert (none.best_params, none.best_score, ts.judge(none).status) == (None, None, "rejected")


def test_a_search_asks_for_some_trades_where_nobody_says() -> None:
    study = ts.optimize(RULE, BARS, {"n": [3]}, costs=FREE)
    assert study.plan.bounds == bounds(ApprovalCriteria(min_trades=Settings().decision.min_trades))


def test_metrics_of_the_path_are_there_where_they_are_asked_for() -> None:
    params = {"fast_period": [5, 8], "slow_period": 30}
    assert set(ts.evaluate(MA, BARS, params).metrics) == set(ACCOUNT_METRICS)
    table = ts.evaluate(MA, BARS, params, metrics=["timing_sharpe", "return", "omega", "omega"])
    assert list(table.metrics) == ["timing_sharpe", "total_return", "omega"]
    assert len(table) == 2
    report = ts.backtest(MA, BARS, {"fast_period": 5, "slow_period": 30}, use_holdout=True)
    assert list(report.metrics) == list(METRICS)
    assert report.metrics["timing_sharpe"] == table.metrics["timing_sharpe"][0]


@pytest.mark.parametrize("target", PATH_METRICS)
def test_a_search_may_target_every_metric_of_the_path(target: str) -> None:
    study = ts.optimize(MA, BARS, {"fast_period": [5, 8, 12], "slow_period": [20, 40]}, target=target, costs=FREE)
    values = study.trials[target].where(study.trials.eligible)
    assert study.best_score == (values.max() if METRICS[target].direction == "maximize" else values.min())
    assert set(study.table.metrics) == {*ACCOUNT_METRICS, target}


def evaluated(**given: Any) -> Table:
    return ts.evaluate(MA, BARS, **given)


def searched(**given: Any) -> Study:
    return ts.optimize(MA, BARS, **{"param_ranges": {"fast_period": [5, 6]}, **given})


def tried(**given: Any) -> Report:
    return ts.backtest(MA, BARS, **given)


@pytest.mark.parametrize("call", [evaluated, searched, tried])
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"direction": "lng"}, "/direction"),
        ({"fill": "clos"}, "/fill"),
        ({"costs": ts.Costs(fee_rate=-1)}, "/costs/fee_rate"),
        ({"costs": ts.Costs(fee_rate=float("nan"))}, "/costs/fee_rate"),
        ({"costs": 0}, "/costs"),
        ({"initial_cash": -5}, "/initial_cash"),
        ({"initial_cash": float("nan")}, "/initial_cash"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_name(
    call: Callable[..., object], given: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as caught:
        call(**given)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("metrics", "path", "says"),
    [
        (["sharpe", "omga"], "/metrics/1", "did you mean 'omega'"),
        ([None], "/metrics/0", "None is no metric"),
        ("omega", "/metrics", "a list"),
        ([], "/metrics", "a list"),
    ],
)
def test_metrics_that_are_none_are_refused(metrics: Any, path: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        evaluated(metrics=metrics)
    assert caught.value.path == path


@pytest.mark.parametrize("call", [evaluated, tried])
@pytest.mark.parametrize("start", [-1, len(BARS), 10**30, 1.5, float("nan"), None])
def test_a_start_that_is_no_bar_is_refused(call: Callable[..., object], start: Any) -> None:
    with pytest.raises(Invalid) as caught:
        call(start=start)
    assert caught.value.path == "/start"


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"holdout_share": 0}, "/holdout_share", "0"),
        ({"holdout_share": 1.0}, "/holdout_share", r"1\.0"),
        ({"holdout_share": -1}, "/holdout_share", "-1"),
        ({"holdout_share": float("nan")}, "/holdout_share", "nan"),
        ({"holdout_share": 0.99999}, "/holdout_share", "leaves none"),
        ({"method": "gird"}, "/method", "did you mean 'grid'"),
        ({"target": "sharp"}, "/target", "did you mean 'sharpe'"),
        ({"target": None}, "/target", "None is no target"),
        ({"max_iterations": 0}, "/max_iterations", "0"),
        (
            {"max_iterations": 10**9, "method": "random", "param_ranges": {}},
            "/max_iterations",
            "the limit is 1,000,000",
        ),
        ({"seed": -1}, "/seed", "-1"),
        ({"max_points": 0}, "/max_points", "0"),
        ({"max_points": 1}, "/param_ranges", "grid means 2 trials; the limit is 1"),
        ({"constraints": ApprovalCriteria(min_sharpe=float("nan"))}, "/constraints/min_sharpe", "nan"),
        ({"param_ranges": {"fast_perod": [5]}}, "/param_ranges/fast_perod", "did you mean 'fast_period'"),
    ],
)
def test_a_search_that_cannot_be_is_refused_by_name(given: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        searched(**given)
    assert caught.value.path == path


def test_a_grid_above_the_budget_is_refused_with_its_size_unless_the_caller_allows_it() -> None:
    whole = {"fast_period": {}, "slow_period": {}, "signal_threshold": {"step": 1e-7}}
    with pytest.raises(Invalid, match="grid means 34,548,034,548 trials; the limit is 1,000,000") as caught:
        searched(param_ranges=whole, method="grid")
    assert caught.value.path == "/param_ranges"
    assert Settings().limits.grid_points == MAX_POINTS
    assert len(searched(method="grid", max_points=2).table) == 2


def test_a_backtest_takes_one_point() -> None:
    for fast in ([5, 6], []):
        with pytest.raises(Invalid, match="takes one point") as caught:
            tried(params={"fast_period": fast})
        assert caught.value.path == "/params"
    assert tried(params={"fast_period": [6]}).params["fast_period"] == 6


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"thresholds": Thresholds(min_bars=0)}, "/thresholds/min_bars"),
        ({"thresholds": Thresholds(search=float("nan"))}, "/thresholds/search"),
        ({"seed": -1}, "/seed"),
        ({"n_threads": 0}, "/n_threads"),
        ({"criteria": ApprovalCriteria(max_drawdown=35)}, "/criteria/max_drawdown"),
    ],
)
def test_a_judgement_that_cannot_be_is_refused(study: Study, given: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        ts.judge(study, **given)
    assert caught.value.path == path


def test_too_few_bars_decide_nothing(study: Study) -> None:
    verdict: Verdict = ts.judge(study, LAX, thresholds=Thresholds(min_bars=1600))
    assert verdict.status == "insufficient_data"
    assert "1,500 bars are there after warm-up, at least 1,600 are needed" in verdict.reason
