"""What holds for every rule, whoever registers it: it is explained, sees nothing ahead, and means its text."""

from __future__ import annotations

import numpy as np

from reference.random_rules import random_bars
from reference.rule_cases import RuleCase, examine
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.compute.simulation.execution import Execution
from tunesmith.compute.simulation.signals import Signals
from tunesmith.compute.strategies import BUILTIN_IDS, builtin
from tunesmith.domain.market.bars import Bars
from tunesmith.domain.space import build_space, encode_points
from tunesmith.domain.trading import Costs

CONDITIONS = ("enter_long", "exit_long", "enter_short", "exit_short")
LEVELS = ("stop_loss", "take_profit", "trailing_stop")


def sampled(strategy: Strategy, n: int) -> np.ndarray:
    """The defaults and n random valid points, float64[m, p]."""
    space = build_space(strategy.parameters, {})
    drawn = space.sample(np.random.default_rng(7).random((4 * n, len(space.dimensions))))
    return np.concatenate([encode_points(strategy.parameters, {}), drawn[strategy.valid(drawn)][:n]])


def arrays(signals: Signals) -> dict[str, np.ndarray]:
    found = {name: getattr(signals, name) for name in CONDITIONS}
    found |= {name: getattr(signals, name).price for name in LEVELS if getattr(signals, name) is not None}
    return {name: value for name, value in found.items() if value is not None}


def check_declaration(strategy: Strategy) -> None:
    """It is explained, sensible at its defaults, and no other strategy's code again."""
    assert builtin(strategy.id) is strategy
    assert len(strategy.doc) > 100
    assert all(parameter.doc for parameter in strategy.parameters)
    assert all(parameter.check(parameter.default) is None for parameter in strategy.parameters)
    assert strategy.valid(encode_points(strategy.parameters, {})).all()
    valid = strategy.valid(
        build_space(strategy.parameters, {}).sample(np.random.default_rng(1).random((500, len(strategy.parameters))))
    )
    assert valid.mean() > 0.4
    assert [builtin(other).code_hash for other in BUILTIN_IDS].count(strategy.code_hash) == 1


def check_no_look_ahead(strategy: Strategy) -> None:
    """A bar's signals are the same to the bit whatever comes after it."""
    codes = sampled(strategy, 5)
    bars = random_bars(900, 3)
    whole = arrays(bind(strategy, bars, codes).signals(0, len(codes)))
    for cut in (1, 2, 37, 450, 899):
        for name, value in arrays(bind(strategy, bars.slice(0, cut), codes).signals(0, len(codes))).items():
            np.testing.assert_array_equal(value, whole[name][:, :cut], f"{name} on {cut} bars")


def check_meaning(strategy: Strategy, bars: Bars) -> None:
    """Signals are the slow interpreter's; orders, account and metrics the slow simulator's, and vectorbt confirms."""
    for fill in ("next_open", "close"):
        execution = Execution(Costs(fee_rate=0.001, slippage_rate=0.0005), fill, "both")  # type: ignore[arg-type]
        found = examine(RuleCase(strategy.code, bars, sampled(strategy, 1), execution, 50), ["auto"])
        assert found.failures == []
        assert found.n_points == found.n_replays["auto"] == 2
        assert found.n_interpreted == 1


def check_trades(strategy: Strategy, bars: Bars) -> None:
    """At its defaults it asks for orders, and not all the time."""
    signals = arrays(bind(strategy, bars, encode_points(strategy.parameters, {})).signals(0, 1))
    for name in set(CONDITIONS) & set(signals):
        assert 3 < signals[name].sum() < 0.7 * len(bars), name
