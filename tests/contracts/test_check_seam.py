"""A check of the decision added from outside the package: asked, computed, judged, hidden, explained, replayed.

Two toys: one in sample, registered before the test of the searches, and one on the hold-out with a permutation test of
its own, registered before the package in force. No file of the package knows them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.made_markets import FAMILIES, regimes
from services.decision_house import decided, grow, open_court, searched
from services.search_house import House
from services.verdict_house import evidence
from services.verdicts.test_search_decision import Listener
from tunesmith.cli.decide.verdict_story import tell
from tunesmith.compute.decision.checks import check_registry
from tunesmith.compute.decision.checks.check_declaration import DecisionCheck, Explanation, Requests, Work, line
from tunesmith.compute.decision.decision_plan import UNSEEN, decide_search, public_checks, public_reason
from tunesmith.compute.decision.inputs import DecisionInputs, Findings, WorkInputs, WorkRequest
from tunesmith.compute.decision.permutation_test import DrawnStatistics, draw_statistics, on_permuted_markets
from tunesmith.compute.decision.winner import Winner, metrics_of, statistic_of
from tunesmith.domain.approval import ApprovalCriteria
from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Draining, Internal
from tunesmith.notebook.judging import decide_study
from tunesmith.workers.chunks.decision_chunks import decision_work
from tunesmith.workers.chunks.payloads import DecisionWork

CRITERIA = ApprovalCriteria(
    min_sharpe=0.0, max_drawdown=1.0, min_return=0.0, min_trades=1, min_win_rate=0.0, min_profit_factor=0.0
)
N_DRAWS = 30


def trades_a_bar(winner: Winner, inputs: WorkInputs) -> dict[str, float]:
    """In sample: how often the winner trades, as a share of the bars; `data` is what the check handed over."""
    bars = len(winner.market.bars) - winner.market.first
    return {"share": metrics_of(winner)["n_trades"] / bars, "handed_over": inputs.data["most"]}


def judge_trades(inputs: DecisionInputs, findings: Findings) -> Requests:
    found = yield WorkRequest("trades_a_bar", data={"most": 0.9})
    share = found["share"]
    return [line("calm", "in_sample", "it is calm", share, 0.9, share <= 0.9, f"it trades on {share:.1%} of the bars")]


CALM = DecisionCheck(
    name="calm",
    question="does it trade calmly?",
    segment="in_sample",
    judge=judge_trades,
    explanations={"calm": Explanation("a toy's backtest", "Play with something else.")},
    works=(Work(name="trades_a_bar", segment="in_sample", run=trades_a_bar, kept_in="evidence"),),
)


def draw_toy(winner: Winner, inputs: WorkInputs) -> DrawnStatistics:
    starts = [market.first for market in winner.markets]
    return draw_statistics(winner, inputs, lambda index: on_permuted_markets(winner, inputs.seed, index, starts))


def holdout_check(limit: float) -> DecisionCheck:
    """A check that fails where the p-value of its test on the hold-out is above `limit`."""

    def judge(inputs: DecisionInputs, findings: Findings) -> Requests:
        real = yield WorkRequest("toy_statistic")
        drawn = yield WorkRequest("toy_permutations", N_DRAWS, real=real)
        p = drawn["p"]
        findings.evidence["toy_note"] = f"p = {p}"
        return [line("toy", "all", "the toy likes it", p, limit, p <= limit, f"the toy's p is {p:.4f}")]

    return DecisionCheck(
        name="toy",
        question="does the toy like it?",
        segment="all",
        judge=judge,
        explanations={"toy": Explanation("a walk of toys", "Please the toy.", "the toy's p is above {limit:g}")},
        works=(
            Work(
                name="toy_statistic",
                segment="holdout",
                run=lambda winner, inputs: statistic_of(winner),
                kept_in="evidence",
            ),
            Work(
                name="toy_permutations",
                segment="holdout",
                run=draw_toy,
                kept_in="evidence",
                p_value="toy",
                draws_per_chunk=7,
            ),
        ),
        evidence=("toy_note",),
    )


@pytest.fixture(autouse=True)
def no_toys_left() -> Iterator[None]:
    before = check_registry.registered()
    yield
    for check in check_registry.registered():
        if check not in before:
            check_registry.unregister(check.name)
    assert check_registry.registered() == before


def register_toys(limit: float) -> None:
    check_registry.register(CALM, before="searches")
    check_registry.register(holdout_check(limit), before="incumbent")


async def story(house: House, verdict: dict[str, Any]) -> str:
    report = await house.ask("report.get", report_id=verdict["report_id"])
    search = await house.ask("optimization.status", optimization_id=verdict["optimization_id"])
    return " ".join(tell(verdict, report, search).split())


async def replayed(house: House, verdict: dict[str, Any]) -> dict[str, Any]:
    asked = await house.ask("verdict.replay", verdict_id=verdict["verdict_id"])
    await house.ended(asked["task_id"])
    return await house.ask("replay.status", task_id=asked["task_id"])


def test_a_toy_that_passes_is_asked_computed_stored_explained_and_replayed(tmp_path: Path) -> None:
    register_toys(limit=1.0)

    async def main() -> None:
        grow(tmp_path, "EDGE/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            listener = Listener(house.context.executor)  # type: ignore[arg-type]
            house.context.tasks.executor = listener  # type: ignore[assignment]
            verdict = await decided(house, optimization_id=await searched(house, "EDGE/USDT"))
            assert verdict["approved"], verdict["reason"]
            names = [check["name"] for check in verdict["checks"]]
            assert names.index("delay_timing_sharpe") < names.index("calm") < names.index("searches")
            assert names.index("error_budget") < names.index("toy") < names.index("replay")
            chunks = [chunk.payload for chunk in listener.chunks if chunk.function.startswith("decision_work")]
            toys = {payload.work: payload.sees_holdout for payload in chunks if "t" in payload.work[:3]}
            assert toys == {"trades_a_bar": False, "toy_statistic": True, "toy_permutations": True}
            assert sum(payload.work == "toy_permutations" for payload in chunks) == 5, "30 draws, 7 a chunk"
            kept = await evidence(house, verdict["verdict_id"])
            assert kept["trades_a_bar"]["handed_over"] == 0.9
            assert (kept["p"]["toy"], kept["toy_permutations"]["n"]) == (kept["toy_permutations"]["p"], N_DRAWS)
            assert verdict["evidence"]["toy_note"] == f"p = {kept['p']['toy']}"
            assert verdict["explanations"]["calm"] == {
                "question": "does it trade calmly?", "cost": "a toy's backtest", "helps": "Play with something else.",
            }  # fmt: skip
            told = await story(house, verdict)
            for check in verdict["checks"]:
                assert check["reason"] in told
            assert "Cost: a walk of toys." in told
            again = await replayed(house, verdict)
            assert (again["equal"], again["differences"]) == (True, [])

    asyncio.run(main())


def test_a_toy_that_refuses_says_why_and_hides_what_it_saw_of_the_holdout(tmp_path: Path) -> None:
    register_toys(limit=0.0)

    async def main() -> None:
        grow(tmp_path, "EDGE/USDT", 7, 0.8)
        async with open_court(tmp_path) as house:
            verdict = await decided(house, optimization_id=await searched(house, "EDGE/USDT"))
            assert (verdict["verdict"], verdict["reason"]) == ("rejected", UNSEEN)
            [shown] = [check for check in verdict["checks"] if check["segment"] in ("holdout", "all")]
            assert (shown["name"], shown["value"], shown["threshold"]) == ("holdout", None, None)
            public = verdict["evidence"]
            assert {"toy_statistic", "toy_permutations", "toy_note"} & set(public) == set()
            assert set(public["p"]) == {"search"}
            assert public["trades_a_bar"]["share"] > 0.0, "what was seen in sample is shown"
            kept = await evidence(house, verdict["verdict_id"])
            assert 0.0 < kept["p"]["toy"] <= 1.0
            assert kept["checks"][-1]["reason"] == f"the toy's p is {kept['p']['toy']:.4f}"
            told = await story(house, verdict) + msgspec.json.encode(verdict).decode()
            assert not re.search("the toy|toy_", told), "nobody is told which check of the hold-out it was"
            assert verdict["not_asked"] == []
            assert (await replayed(house, verdict))["equal"]
            check_registry.unregister("toy")
            later = await house.ask("verdict.get", verdict_id=verdict["verdict_id"])
            assert later == verdict, "what nobody declares any more stays hidden"

    asyncio.run(main())


def test_the_notebook_makes_the_toys_too() -> None:
    register_toys(limit=1.0)
    bars = regimes(np.random.default_rng(5), 1700, drift=0.4, length=60.0)
    study = FAMILIES["moving averages"].search(bars, "both", param_ranges={"fast": [5, 10, 20], "slow": [40, 60]})
    limits = Thresholds(n_permutations=99, max_permutations=99, combined=0.02)
    ours = decide_study(study, CRITERIA, thresholds=limits, seed=4, n_threads=2)
    assert ours.approved, ours.reason
    assert ours.findings.evidence["trades_a_bar"]["handed_over"] == 0.9
    assert (ours.findings.evidence["toy_permutations"]["n"], 0.0 < ours.findings.p["toy"] <= 1.0) == (N_DRAWS, True)


def test_an_insufficient_or_hidden_figure_cannot_leak_through_a_declaration() -> None:
    toy = holdout_check(1.0)
    for wrong, words in (
        (replace(toy, segment="in_sample"), "sees the hold-out"),
        (replace(toy, fails_as="insufficient_data"), "insufficient_data"),
        (replace(toy, limits=("patience",)), "limits that Thresholds lacks: patience"),
        (replace(toy, name="timing"), "names that are taken: timing"),
        (replace(toy, works=(*toy.works, replace(toy.works[0], name="holdout"))), "names that are taken: holdout"),
        (replace(toy, explanations={"bars": Explanation("", "")}), "names that are taken: bars"),
    ):
        with pytest.raises(ValueError, match=words):
            check_registry.register(wrong)
    with pytest.raises(ValueError, match="nothing"):
        check_registry.register(toy, before="nothing")


def test_a_line_that_a_check_does_not_declare_ends_the_decision() -> None:
    stray = line("stray", "in_sample", "", 1.0, 1.0, True, "")
    for made in (stray, msgspec.structs.replace(stray, name="calm", segment="holdout")):
        check_registry.register(replace(CALM, judge=lambda inputs, findings, made=made: [made]), before="data")
        inputs = DecisionInputs(CRITERIA, Thresholds(), 1400, 600, 3.8)
        with pytest.raises(Internal, match="does not declare its line"):
            next(decide_search(inputs))
        check_registry.unregister("calm")


def test_a_check_without_work_may_return_its_lines_at_once() -> None:
    made = line("calm", "in_sample", "it is calm", 2.0, 1.0, False, "it is not calm")
    check_registry.register(replace(CALM, judge=lambda inputs, findings: [made], works=()), before="data")
    plan = decide_search(DecisionInputs(CRITERIA, Thresholds(), 1400, 600, 3.8))
    with pytest.raises(StopIteration) as stop:
        next(plan)
    decision = stop.value.value
    assert (decision.status, public_reason(decision), public_checks(decision)) == ("rejected", "it is not calm", [made])


@pytest.mark.parametrize(("work", "sees_holdout"), [("holdout", False), ("costs", True)])
def test_work_is_not_done_by_workers_of_the_other_segment(work: str, sees_holdout: bool) -> None:
    payload = DecisionWork(
        winner=None,  # type: ignore[arg-type]
        work=work,
        thresholds=Thresholds(),
        seed=1,
        sees_holdout=sees_holdout,
    )
    with pytest.raises(Internal, match="workers of the other segment"):
        decision_work(payload)


def test_long_work_ends_between_its_steps_where_nobody_waits_any_more() -> None:
    drawn: list[int] = []
    inputs = WorkInputs(thresholds=Thresholds(), seed=1, stop=9, is_cancelled=lambda: len(drawn) == 2)
    with pytest.raises(Draining, match="cancelled"):
        draw_statistics(SimpleNamespace(markets=(), others=()), inputs, lambda index: drawn.append(index))  # type: ignore[arg-type]
    assert drawn == [0, 1]


def test_progress_is_shared_by_the_works_that_declare_a_share() -> None:
    counted, searches = (check_registry.work_named(name) for name in ("counted", "searches"))
    assert [check_registry.progress_within(work) for work in (counted, searches)] == [(0.0, 0.2), (0.2, 0.8)]
    toy = holdout_check(1.0)
    works = (replace(toy.works[0], progress_share=1.0), replace(toy.works[1], progress_share=2.0))
    check_registry.register(replace(toy, works=works))
    assert check_registry.progress_within(searches) == (0.05, 0.2)
    assert check_registry.progress_within(works[1]) == (0.5, 0.5)
