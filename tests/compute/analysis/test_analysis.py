"""Analyses of searches whose answers are known, and of those with nothing to find."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import msgspec
import numpy as np
import optuna
import pytest
from scipy.stats import f_oneway, mannwhitneyu, spearmanr

from compute.analysis.searches import PARAMETERS, POOR, SPACE, no_trials, search, without_scores
from tunesmith.compute.analysis import comparison, convergence, correlation, importance, landscape, ranking
from tunesmith.compute.analysis.recommendation import narrow, recommend
from tunesmith.compute.analysis.search_report import Report, report
from tunesmith.compute.analysis.trial_set import Trials, positions
from tunesmith.domain.parameters import Parameter, Range
from tunesmith.domain.search.findings import Edge, ImportanceMethod
from tunesmith.domain.space import build_space, encode_points
from tunesmith.errors import Invalid


@pytest.mark.parametrize("make", POOR.values(), ids=POOR)
def test_little_to_analyse_is_an_answer(make: Callable[[], Trials]) -> None:
    trials = make()
    answers = [
        ranking.ranking(trials),
        ranking.summary(trials),
        ranking.front(trials, trials.scores[:, np.newaxis], ["sharpe"], ("maximize",)),
        landscape.marginals(trials),
        landscape.heat_map(trials, "fast", "kind", "median"),
        importance.effects(trials),
        importance.importances(trials),
        importance.importances(trials, "ped_anova"),
        correlation.correlations(trials),
        convergence.convergence(trials),
        comparison.compare(trials, trials),
        comparison.compare(trials, no_trials()),
        recommend(trials),
    ]
    text = msgspec.json.encode(answers)
    assert b"NaN" not in text
    assert json.loads(text)[1]["n_trials"] == len(trials)


@pytest.mark.parametrize("make", [search, *POOR.values()], ids=["a search", *POOR])
def test_a_report_reads_back_as_it_was_written(make: Callable[[], Trials]) -> None:
    found = report(make())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Report) == found
    assert len(found.marginals) == len(found.importances) == len(SPACE.dimensions)


def test_importance_that_cannot_be_told_fixes_nothing() -> None:
    trials = without_scores()
    trials.scores[:] = 1.0
    found = report(trials)
    assert {each.share for each in found.importances} == {0.0}
    assert found.narrowed is not None
    assert "does_not_matter" not in found.narrowed.fixed.values()


def test_ranks_follow_a_metrics_own_direction() -> None:
    trials = search()
    best = ranking.ranking(trials, "drawdown", 3)
    values = np.where(trials.eligible, trials.metrics["max_drawdown"], np.nan)
    assert [trial.value for trial in best] == np.sort(values)[:3].tolist()
    assert all(trial.eligible for trial in best)
    worst = ranking.ranking(trials, n=1, worst=True, only_eligible=False)
    assert worst[0].value == np.nanmin(trials.scores)
    assert worst[0].params == trials.params(worst[0].index)
    with pytest.raises(Invalid, match="did you mean 'sharpe'"):
        ranking.ranking(trials, "sharp")


def test_the_front_has_raw_values_and_a_knee() -> None:
    trials = search()
    values = np.column_stack([trials.metrics["sharpe"], trials.metrics["max_drawdown"]])
    front = ranking.front(trials, values, ["sharpe", "max_drawdown"], ("maximize", "minimize"))
    sharpe, drawdown = np.array(front.values).T
    assert (np.diff(sharpe) < 0).all()
    assert (np.diff(drawdown) < 0).all()
    assert front.knee is not None
    assert 0 < front.knee < len(front.indices) - 1
    assert trials.eligible[front.indices].all()


def test_a_marginal_curve_is_the_groups_statistics() -> None:
    trials = search()
    curve = landscape.marginal(trials, "fast")
    assert curve.axis.values == list(range(10, 51, 2))
    at = (trials.column("fast") == 30.0) & trials.defined
    position = curve.axis.values.index(30)
    assert curve.count[position] == at.sum()
    assert curve.mean[position] == pytest.approx(trials.scores[at].mean())
    assert curve.median[position] == pytest.approx(np.median(trials.scores[at]))
    assert curve.best[position] == trials.scores[at & trials.eligible].max()
    assert curve.n_eligible[position] == (at & trials.eligible).sum()
    assert [m.axis.parameter for m in landscape.marginals(trials)] == ["fast", "kind", "risk", "short"]
    assert landscape.marginal(trials, "kind").axis.values == ["sma", "ema", "wma"]
    assert landscape.marginal(trials, "lag").axis.values == [3]


def test_many_values_are_binned_by_ratio_where_the_range_is_logarithmic() -> None:
    axis, at = positions(search(), "risk", 10)
    assert axis.edges is not None
    assert np.ptp(np.diff(np.log(axis.edges))) < 1e-9
    assert (at.min(), at.max(), axis.size) == (0, 9, 10)
    codes = search().column("risk")
    assert ((codes >= np.array(axis.edges)[at]) & (codes <= np.array(axis.edges)[at + 1])).all()


def test_a_heat_map_is_a_matrix_over_two_parameters() -> None:
    trials = search()
    heat = landscape.heat_map(trials, "fast", "kind", "mean")
    assert (len(heat.rows), len(heat.rows[0])) == (3, 21)
    cell = (trials.column("fast") == 12.0) & (trials.column("kind") == 2.0) & trials.defined
    assert heat.rows[2][1] == pytest.approx(trials.scores[cell].mean())
    assert heat.count[2][1] == cell.sum()
    assert sum(map(sum, heat.count)) == trials.defined.sum()
    best = landscape.heat_map(trials, "fast", "kind", "best")
    assert best.rows[2][1] == trials.scores[cell & trials.eligible].max()


def test_a_slice_through_a_trial_holds_everything_else_still() -> None:
    names = ["fast", "kind", "short"]
    points = encode_points(PARAMETERS, {"fast": [10, 12, 10, 12], "kind": ["sma", "sma", "ema", "ema"]})
    points = np.concatenate([points, points])
    points[4:, 3] = 1.0
    trials = Trials(SPACE, points, np.arange(8.0), np.ones(8, bool))
    assert landscape.heat_map(trials, *names[:2], through=5).rows == [[4.0, 5.0], [6.0, 7.0]]
    assert landscape.heat_map(trials, *names[:2]).rows == [[2.0, 3.0], [4.0, 5.0]]
    with pytest.raises(Invalid, match="there is no trial 8"):
        landscape.heat_map(trials, *names[:2], through=8)
    with pytest.raises(Invalid, match="two different"):
        landscape.heat_map(trials, "fast", "fast")
    with pytest.raises(Invalid, match="no parameter 'slow'"):
        landscape.heat_map(trials, "fast", "slow")


def test_one_way_effects_are_scipys() -> None:
    trials = search()
    found = {effect.parameter: effect for effect in importance.effects(trials)}
    for name in ("fast", "kind", "short"):
        codes, scores = trials.column(name)[trials.defined], trials.scores[trials.defined]
        expected = f_oneway(*(scores[codes == code] for code in np.unique(codes)))
        assert found[name].f == pytest.approx(expected.statistic, rel=1e-9)
        assert found[name].p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)
    assert next(iter(found)) == "fast"
    assert found["risk"].explained is not None
    assert found["risk"].explained < 0.05


@pytest.mark.parametrize("method", ["fanova", "ped_anova"])
def test_importance_finds_what_matters_and_repeats_itself(method: ImportanceMethod) -> None:
    trials = search()
    found = importance.importances(trials, method, max_trials=1500)
    assert found == importance.importances(trials, method, max_trials=1500)
    share = {each.parameter: each.share for each in found}
    assert sum(share.values()) == pytest.approx(1.0)
    assert found[0].parameter == "fast"
    assert share["fast"] > 0.6
    assert share["kind"] > 0.005 > max(share["risk"], share["short"]) or method == "ped_anova"


def test_functional_shares_are_those_of_an_additive_score() -> None:
    parameters = tuple(Parameter(name=name, kind="int", default=0, low=0, high=7) for name in "abc")
    space = build_space(parameters, {})
    points = space.grid(0, space.size)
    scores = 2.0 * points[:, 0] + points[:, 1]
    trials = Trials(space, points, scores, np.ones(len(points), bool))
    share = {each.parameter: each.share for each in importance.importances(trials)}
    assert share == pytest.approx({"a": 0.8, "b": 0.2, "c": 0.0}, abs=0.01)


def test_functional_shares_agree_with_optunas() -> None:
    trials = search(300)
    chosen = np.flatnonzero(trials.defined)
    study = optuna.create_study(direction="maximize")
    names = ("fast", "kind", "short")
    space = {
        "fast": optuna.distributions.FloatDistribution(10, 50),
        "kind": optuna.distributions.CategoricalDistribution([0.0, 1.0, 2.0]),
        "short": optuna.distributions.CategoricalDistribution([0.0, 1.0]),
    }
    for i in chosen:
        params = {name: float(trials.column(name)[i]) for name in names}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=trials.scores[i]))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=8, max_depth=8, seed=0)
    expected = optuna.importance.get_param_importances(study, evaluator=evaluator)
    share = {each.parameter: each.share for each in importance.importances(trials)}
    assert {name: share[name] for name in names} == pytest.approx(dict(expected), abs=0.03)


def test_correlations_are_spearmans() -> None:
    trials = search()
    found = correlation.correlations(trials, 0.2)
    keep = trials.defined
    expected = spearmanr(trials.column("risk")[keep], trials.scores[keep]).statistic
    assert found.with_score[found.parameters.index("risk")] == pytest.approx(expected)
    assert found.with_score[found.parameters.index("kind")] is None
    good = trials.good(0.2, 10_000)
    assert found.n_good == len(good) == np.ceil(0.2 * (keep & trials.eligible).sum())
    fast, risk = found.parameters.index("fast"), found.parameters.index("risk")
    expected = spearmanr(trials.column("fast")[good], trials.column("risk")[good]).statistic
    assert found.among_good[fast][risk] == found.among_good[risk][fast] == pytest.approx(expected)
    assert found.among_good[fast][fast] == pytest.approx(1.0)


def test_convergence_keeps_every_improvement_of_eligible_trials() -> None:
    scores = np.array([np.nan, 1.0, 5.0, 1.0, 2.0, 2.0, 3.0, 0.0])
    eligible = np.array([True, True, False, True, True, True, True, True])
    found = convergence.convergence(Trials(SPACE, search(8).points, scores, eligible))
    assert [(step.index, step.score) for step in found.improvements] == [(1, 1.0), (4, 2.0), (6, 3.0)]
    assert found.n_done == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found.best_so_far == [None, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    assert found.n_since == 1
    assert len(convergence.convergence(search(), 50).n_done) == 50
    assert convergence.convergence(search(), 50).n_done[-1] == 3000


def test_two_searches_are_compared_by_distribution_and_by_common_points() -> None:
    a = search(2000)
    b = Trials(SPACE, a.points[:1000].copy(), a.scores[:1000] + 0.1, a.eligible[:1000])
    b.scores[1] = a.scores[1] - 2.0
    found = comparison.compare(a, b)
    of_a, of_b = a.scores[a.defined], b.scores[b.defined]
    expected = mannwhitneyu(of_b, of_a, method="asymptotic")
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.superiority == pytest.approx((of_b[:, None] > of_a).mean() + (of_b[:, None] == of_a).mean() / 2)
    n_common = len({point.tobytes() for point in b.points})
    assert (found.n_common, found.n_worse) == (n_common, 1)
    assert found.largest_difference == pytest.approx(-2.0)
    assert found.best_difference == pytest.approx((found.b.best_score or 0) - (found.a.best_score or 0))
    other = build_space(PARAMETERS[:2], {})
    unlike = Trials(other, other.grid(0, 3), np.arange(3.0), np.ones(3, bool))
    assert comparison.compare(a, unlike).n_common is None


def test_the_recommended_box_holds_the_good_trials_and_is_the_smallest() -> None:
    trials = search()
    found = recommend(trials, 0.05, most=1000)
    assert found is not None
    good = trials.good(0.05, 1000)
    fast = trials.column("fast")[good]
    assert found.param_ranges["fast"] == Range(min=fast.min(), max=fast.max(), step=2.0)
    assert fast.min() > 20
    assert fast.max() < 40
    assert found.param_ranges["kind"] == "ema"
    assert found.fixed == {"kind": "all_good_agree"}
    risk = trials.column("risk")[good]
    assert found.param_ranges["risk"] == Range(min=risk.min(), max=risk.max(), log=True)
    assert found.param_ranges["lag"] == 3
    space = build_space(PARAMETERS, found.param_ranges)
    assert found.size == space.size < found.size_before == SPACE.size
    assert found.edges == []
    wide = recommend(trials, 0.05, margin=2, most=1000)
    assert wide is not None
    assert wide.param_ranges["fast"] == Range(min=fast.min() - 4, max=fast.max() + 4, step=2.0)


def test_parameters_that_do_not_matter_stay_at_the_best_value() -> None:
    trials = search()
    shares = {each.parameter: each.share for each in importance.importances(trials)}
    found = narrow(trials, shares, 0.05, least=0.01)
    assert found is not None
    best = trials.best()
    assert best is not None
    assert found.param_ranges["risk"] == trials.params(best)["risk"]
    assert found.fixed["risk"] == found.fixed["short"] == "does_not_matter"
    assert isinstance(found.param_ranges["fast"], Range)


def test_a_best_value_at_the_end_of_the_range_is_pointed_out() -> None:
    points = SPACE.grid(0, SPACE.size)
    trials = Trials(SPACE, points, points[:, 0] - points[:, 2], np.ones(len(points), bool))
    found = recommend(trials)
    assert found is not None
    assert found.edges == [Edge(parameter="fast", end="high"), Edge(parameter="risk", end="low")]


def test_lists_of_numbers_are_narrowed_to_their_own_values() -> None:
    space = build_space(PARAMETERS, {"fast": [2, 3, 5, 8, 13, 21]})
    points = space.grid(0, 6)
    trials = Trials(space, points, -np.abs(points[:, 0] - 6.0), np.ones(6, bool))
    found = recommend(trials, 0.5)
    assert found is not None
    assert found.param_ranges["fast"] == Range(values=[3, 5, 8])


def test_a_log_range_of_whole_numbers_is_narrowed_to_one() -> None:
    space = build_space((Parameter(name="n", kind="int", default=5, low=1, high=100, log=True),), {})
    points = space.grid(0, 100)
    found = recommend(Trials(space, points, -np.abs(points[:, 0] - 20.0), np.ones(100, bool)), 0.05)
    assert found is not None
    assert found.param_ranges["n"] == Range(min=18.0, max=22.0, log=True)
    assert found.size == 5


def test_a_large_search_is_analysed_in_seconds() -> None:
    trials = search(436_800)
    importance.importances(search(100))  # what is loaded once
    begun = time.process_time()
    importance.importances(trials)
    importance.effects(trials)
    assert time.process_time() - begun < 10.0  # two on a machine that does nothing else
