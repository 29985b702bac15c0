"""What a further engine needs: a record, registered. A toy one, made here, evaluates, searches and refuses."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

import tunesmith as ts
from reference.cases import random_bars
from tunesmith.compute.engines.engine import Columns, Difference, Engine
from tunesmith.compute.engines.engine_table import ENGINES, register
from tunesmith.compute.engines.trace import Trace, trace
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.search.search import Market, Search
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.run import PreparedBars
from tunesmith.compute.strategies import builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.metrics import METRICS
from tunesmith.domain.search.search_plan import SearchPlan
from tunesmith.domain.space import encode_points
from tunesmith.domain.trading import Costs, Direction
from tunesmith.domain.trading import Engine as WireEngine
from tunesmith.errors import Invalid
from tunesmith.workers.chunks import search_chunks
from tunesmith.workers.chunks.payloads import Search as SearchChunk
from tunesmith.workers.chunks.payloads import SearchSpec

PACKAGE = Path(__file__).resolve().parents[2] / "service" / "tunesmith"
RULE = "ma_cross_v1.0"
LOST = "the toy engine has lost its pencil"


def toy_differences(strategy: Strategy, costs: Costs, direction: Direction) -> Iterable[Difference]:
    if costs.fixed_fee:
        yield Difference("costs/fixed_fee", "knows no fixed fee")


def toy_evaluate(
    strategy: Strategy,
    prepared: PreparedBars,
    points: NDArray[np.float64],
    execution: Execution,
    *,
    start: int,
    n_threads: int,
    metrics: Collection[str],
) -> Columns:
    """The account's numbers from the trace of each point; none for a fast average of 7 bars."""
    traces = [trace(strategy, prepared.bars, point, execution, start=start) for point in points]
    columns = {name: np.array([traced.metrics[name] for traced in traces]) for name in metrics}
    lost = points[:, 0] == 7.0
    return {name: np.where(lost, np.nan, column) for name, column in columns.items()}


def toy_trace(
    strategy: Strategy, bars: Bars, point: NDArray[np.float64], execution: Execution, *, start: int = 0
) -> Trace:
    return trace(strategy, bars, point, execution, start=start)


TOY = Engine(
    name="toy",
    doc="Traces every point, one after the other.",
    differences=toy_differences,
    evaluate=toy_evaluate,
    trace=toy_trace,
    assumed_ns=1_000.0,
    chunk_divisor=50,
    no_numbers=LOST,
)


@pytest.fixture
def toy() -> Iterator[Engine]:
    register(TOY)
    yield TOY
    del ENGINES["toy"]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return random_bars(np.random.default_rng(3), 400)


def test_the_toy_engine_evaluates_where_it_is_named(toy: Engine, bars: Bars) -> None:
    params = {"fast_period": [5, 6, 7, 90], "slow_period": [20, 30, 40, 30], "signal_threshold": 0.0}
    names = ["sharpe", "n_trades", "ulcer_index"]
    found = ts.evaluate(builtin(RULE), bars, params, engine="toy", metrics=names)  # type: ignore[arg-type]
    ours = ts.evaluate(builtin(RULE), bars, params, metrics=names)
    for name in names:
        assert found.metrics[name][:2] == pytest.approx(ours.metrics[name][:2], rel=1e-9)
        assert np.isnan(found.metrics[name][2:]).all()  # no pencil; and a require(…) that is broken
    assert (ours.metrics["n_trades"][:3] > 0).all()


def test_the_toy_engine_refuses_what_it_understands_differently(toy: Engine, bars: Bars) -> None:
    with pytest.raises(Invalid, match="toy knows no fixed fee; engine tunesmith does") as refused:
        ts.evaluate(builtin(RULE), bars, costs=Costs(fixed_fee=1.0), engine="toy")  # type: ignore[arg-type]
    assert refused.value.path == "/costs/fixed_fee"


def test_the_toy_engine_evaluates_a_search_in_the_notebook(toy: Engine, bars: Bars) -> None:
    asked: dict[str, Any] = {
        "param_ranges": {"fast_period": [5, 6, 7], "slow_period": [20, 30], "signal_threshold": 0.0},
        "method": "grid",
        "constraints": ["n_trades >= 1"],
    }
    study = ts.optimize(builtin(RULE), bars, engine="toy", **asked)  # type: ignore[arg-type]
    ours = ts.optimize(builtin(RULE), bars, **asked)
    sevens = study.table.parameters["fast_period"] == 7
    assert sevens.sum() == 2
    assert np.isnan(study.table.metrics["total_return"][sevens]).all()
    assert study.table.metrics["sharpe"][~sevens] == pytest.approx(ours.table.metrics["sharpe"][~sevens], rel=1e-9)
    assert study.best_params is not None


def test_a_chunk_of_a_search_says_why_the_toy_engine_has_no_numbers(
    toy: Engine, bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = {"fast_period": [6, 7], "slow_period": 20, "signal_threshold": 0.0}
    plan = SearchPlan(target="sharpe", method="grid", n_trials=2, seed=0, ranges=ranges)
    market = Market(bars.symbol, bars, Execution(engine="toy"))
    payload = SearchChunk(spec=SearchSpec(id="toy", works=[], symbols=[], plan=plan), start=0, stop=2)
    monkeypatch.setattr(search_chunks, "_bind", lambda spec: (Search(builtin(RULE), spec.plan), [market]))
    trials = search_chunks.search(payload)
    assert trials.errors == [None, LOST]


def test_a_name_is_registered_once_and_a_wrong_one_is_refused_with_the_nearest(toy: Engine, bars: Bars) -> None:
    with pytest.raises(ValueError, match="there is an engine 'toy' already"):
        register(TOY)
    with pytest.raises(Invalid, match="did you mean 'toy'"):
        ts.evaluate(builtin(RULE), bars, engine="toyy")  # type: ignore[arg-type]


# Every engine of the table


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def test_requests_may_name_exactly_the_engines_of_the_table() -> None:
    assert get_args(WireEngine) == tuple(ENGINES)
    assert all(name == engine.name for name, engine in ENGINES.items())


def test_it_says_what_it_is_and_what_it_costs(engine: Engine) -> None:
    assert engine.doc
    assert engine.assumed_ns > 0.0
    assert engine.chunk_divisor >= 1


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("direction", ["long", "short", "both"])
def test_it_gives_our_numbers_or_none(engine: Engine, bars: Bars, fill: str, direction: str) -> None:
    execution = Execution(Costs(slippage_rate=0.0005), fill, direction, engine=engine.name)  # type: ignore[arg-type]
    rule = builtin(RULE)
    params = {"fast_period": [3, 8, 15, 60], "slow_period": [20, 30, 40, 30], "signal_threshold": 0.0}
    asked = {"costs": execution.costs, "fill": fill, "direction": direction, "start": 50, "metrics": list(METRICS)}
    ours = ts.evaluate(rule, bars, params, **asked)  # type: ignore[arg-type]
    if list(engine.differences(rule, execution.costs, execution.direction)):
        with pytest.raises(Invalid):
            ts.evaluate(rule, bars, params, engine=engine.name, **asked)  # type: ignore[arg-type]
        return
    theirs = ts.evaluate(rule, bars, params, engine=engine.name, **asked)  # type: ignore[arg-type]
    assert list(theirs.metrics) == list(METRICS)
    for name, values in theirs.metrics.items():
        known = ~np.isnan(values)
        assert known[:3].all() or np.isnan(ours.metrics[name][:3]).any() or engine.no_numbers is not None
        assert values[known] == pytest.approx(ours.metrics[name][known], rel=1e-7, abs=1e-9)
        assert np.isnan(values[3])


def test_no_points_are_no_numbers(engine: Engine, bars: Bars) -> None:
    rule = builtin(RULE)
    broken = ts.evaluate(rule, bars, {"fast_period": 30, "slow_period": 20}, engine=engine.name)  # type: ignore[arg-type]
    assert all(np.isnan(values).all() for values in broken.metrics.values())


def test_its_trace_adds_up(engine: Engine, bars: Bars) -> None:
    rule, execution = builtin(RULE), Execution(engine=engine.name)
    point = encode_points(rule.parameters, {"signal_threshold": 0.0})[0]
    traced = engine.trace(rule, bars, point, execution, start=50)
    numbers = ts.evaluate(rule, bars, {"signal_threshold": 0.0}, start=50, engine=engine.name)  # type: ignore[arg-type]
    assert len(traced.equity) == len(bars) - 50
    assert traced.equity[-1] / execution.initial_cash - 1.0 == pytest.approx(numbers.metrics["total_return"][0])
    assert len(traced.trades) == numbers.metrics["n_trades"][0] > 0
    assert sum(trade.profit for trade in traced.trades) == pytest.approx(
        traced.equity[-1] - execution.initial_cash, abs=abs(traced.position[-1]) * bars.close[-1] + 1e-6
    )


# Nobody else tests an engine's name

MAY_COMPARE = {"cli/daemon/doctor.py": "it compares the names of packages, which are two engines' names too"}


def test_no_other_module_tests_or_names_an_engine() -> None:
    """Engines are asked what they can; a name that is compared, looked up or passed on is where the next one breaks."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = str(file.relative_to(PACKAGE))
        if not name.startswith("compute/engines/") and name not in {"domain/trading.py", *MAY_COMPARE}:
            found += [f"{name}, line {line}: {what}" for line, what in engine_names_in(ast.parse(file.read_text()))]
    assert found == []


def engine_names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    names = set(get_args(WireEngine))

    def named(node: ast.AST | None) -> bool:
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return any(map(named, node.elts))
        return isinstance(node, ast.Constant) and node.value in names

    for node in ast.walk(tree):
        tested = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        tested += [node.value] if isinstance(node, ast.MatchValue) else []
        tested += [node.value] if isinstance(node, ast.keyword) and node.arg == "engine" else []
        tested += [node.value] if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "engine" else []
        if isinstance(node, ast.Dict) and sum(map(named, node.keys)) > 1:
            tested += node.keys
        if isinstance(node, ast.arguments):
            pairs = zip(reversed([*node.posonlyargs, *node.args]), reversed(node.defaults), strict=False)
            keywords = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            tested += [default for argument, default in (*pairs, *keywords) if argument.arg == "engine"]
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            tested.append(node.slice)
        found = [ast.unparse(each) for each in tested if named(each)]
        if found:
            yield getattr(node, "lineno", 0), " and ".join(found)


@pytest.mark.parametrize(
    "code",
    [
        'if engine == "vectorbt": pass',
        'x = engine in ("vectorbt", "tunesmith")',
        'NS = {"tunesmith": 5.0, "vectorbt": 500.0}',
        'def f(*, engine="tunesmith"): pass',
        'class Work:\n    engine: Engine = "tunesmith"',
        'replace(work, engine="tunesmith")',
        'match engine:\n    case "vectorbt":\n        pass',
        'Engine = Literal["tunesmith", "vectorbt"]',
    ],
)
def test_a_tested_name_is_found(code: str) -> None:
    assert list(engine_names_in(ast.parse(code)))
