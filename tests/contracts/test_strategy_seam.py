"""A rule is added from outside the package by its file and one line: it is listed, runs, and keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tunesmith as ts
from contracts import strategy_checks as checks
from contracts.real_daemon import Doors, client_of, with_daemon
from reference.random_rules import random_bars
from tunesmith.compute.strategies import BUILTINS, RuleFile, builtin, register
from tunesmith.errors import NotFound

TOY = '''"""Dip buyer, long.

Buys when the close falls below its average by the given share, and sells when it is back above that average; a stop
below the entry ends what does not come back.
"""
window = Int(12, 3, 60, doc="bars of the average")
dip = Float(0.01, 0.001, 0.1, doc="how far below the average the close must be, as a fraction")

middle = sma(close, window)
enter_long(close < middle * (1 - dip))
exit_long(close > middle)
stop_loss(0.08)
'''


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[ts.Strategy]:
    (tmp_path / "dip_buyer.rule").write_text(TOY)
    register("dip_buyer", RuleFile(tmp_path / "dip_buyer.rule", "Dip Buyer", "2.1"))
    yield builtin("dip_buyer")
    del BUILTINS["dip_buyer"]
    builtin.cache_clear()


def test_it_is_had_by_its_id_which_is_its_own(toy: ts.Strategy) -> None:
    strategy = ts.strategy("dip_buyer")
    assert (strategy.name, strategy.version, strategy.code) == ("Dip Buyer", "2.1", TOY)
    with pytest.raises(ValueError, match="'dip_buyer' already"):
        register("dip_buyer", BUILTINS["dip_buyer"])  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="did you mean 'dip_buyer'"):
        ts.strategy("dip_buyers")


def test_it_is_backtested(toy: ts.Strategy) -> None:
    report = ts.backtest(ts.strategy("dip_buyer"), random_bars(600, 1), {"window": 20})
    assert report.params == {"window": 20, "dip": 0.01}
    assert report.metrics["n_trades"] > 3
    assert report.disagreements == []


def test_it_keeps_every_law_of_the_contract(toy: ts.Strategy) -> None:
    checks.check_declaration(toy)
    checks.check_no_look_ahead(toy)
    checks.check_meaning(toy, random_bars(400, 4))
    checks.check_trades(toy, random_bars(2_000, 5))


def test_the_daemon_lists_it_and_runs_it(toy: ts.Strategy, tmp_path: Path) -> None:
    def scene(doors: Doors) -> None:
        with client_of(doors) as client:
            listed = {row["id"]: row for row in client.request("strategy.list", {"limit": 500})["strategies"]}
            assert listed["dip_buyer"]["version"] == "2.1"
            assert listed["dip_buyer"]["default_params"] == {"window": 12, "dip": 0.01}
            bars = random_bars(600, 1)
            rows = [list(row) for row in zip(*_columns(bars), strict=True)]
            client.request("data.import", {"symbol": "TEST/USDT", "timeframe": "1h", "bars": rows})
            asked = {"strategy_id": "dip_buyer", "symbol": "TEST/USDT", "timeframe": "1h", "params": {"window": 20}}
            done = client.wait(client.request("backtest.start", asked)["task_id"], timeout_s=120.0)
            assert (done.status, done.error) == ("completed", None)

    with_daemon(tmp_path / "data", scene)


def _columns(bars: ts.Bars) -> list[list[float]]:
    return [getattr(bars, name).tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")]
