"""The parameter file of a freqtrade strategy: what the strategy declares, and what is written."""

from __future__ import annotations

import json
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.daemon import FakeDaemon, package
from tunesmith.compute.strategies import builtin
from tunesmith.examples import freqtrade_params
from tunesmith.examples.freqtrade_params import Keeper, compose, main, read_strategy

EXAMPLE = Path(freqtrade_params.__file__).with_name("freqtrade_ma_cross.py")
PARAMS = {"fast_period": 4, "slow_period": 20, "signal_threshold": 0.0}

STRATEGY = """
from freqtrade.strategy import IStrategy, IntParameter
class Mine(IStrategy):
    timeframe = "1h"
    buy_fast_period = IntParameter(2, 100, default=5)
    slow_period = IntParameter(5, 400, default=20, space="sell")
"""


def test_the_example_has_every_parameter_of_the_rule_with_its_range() -> None:
    target = read_strategy(EXAMPLE)
    rule = builtin("ma_cross_v1.0")
    assert set(target.parameters) == {p.name for p in rule.parameters} | {"package_in_force"}
    source = EXAMPLE.read_text()
    for p in rule.parameters:
        assert p.low is not None
        assert p.high is not None
        number = str if p.kind == "float" else "{:.0f}".format
        assert f"({number(p.low)}, {number(p.high)}, default={p.default}" in source


def test_names_may_begin_with_their_space(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(STRATEGY)
    target = read_strategy(file)
    assert target.parameters == {"fast_period": ("buy", "buy_fast_period"), "slow_period": ("sell", "slow_period")}
    written = compose(target, {}, {"fast_period": 4, "slow_period": 20}, trade=True)
    assert written["params"] == {"buy": {"buy_fast_period": 4}, "sell": {"slow_period": 20}}


def test_what_is_not_the_packages_stays() -> None:
    target = read_strategy(EXAMPLE)
    sections = {"roi": {"0": 0.1}, "stoploss": {"stoploss": -0.2}, "buy": {"fast_period": 9, "other": 1}}
    before = {"strategy_name": "TunedMaCross", "params": sections}
    written = compose(target, before, PARAMS, trade=True)
    assert written["params"] == {
        "roi": {"0": 0.1},
        "stoploss": {"stoploss": -0.2},
        "buy": {**PARAMS, "other": 1, "package_in_force": True},
    }
    assert sections["buy"] == {"fast_period": 9, "other": 1}
    foreign = compose(target, {"strategy_name": "Another", "params": sections}, PARAMS, trade=False)
    assert foreign["params"] == {"buy": {**PARAMS, "package_in_force": False}}


def test_a_parameter_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="TunedMaCross has no parameter grid_num"):
        compose(read_strategy(EXAMPLE), {}, {"grid_num": 10}, trade=True)


@pytest.mark.parametrize("text", [None, "x = 1\n", "class A(:\n"])
def test_what_is_no_strategy_is_refused(text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.py"
    if text is not None:
        file.write_text(text)
    assert main([str(file), "--symbol", "A/B", "--timeframe", "1h", "--strategy", "x", "--grade", "tested"]) == 1
    assert capsys.readouterr().err.startswith("freqtrade_params: ")


def test_the_grade_must_be_named_and_what_each_means_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [str(EXAMPLE), "--symbol", "A/B", "--timeframe", "1h", "--strategy", "x"]
    with pytest.raises(SystemExit):
        main(wanted)
    assert "the following arguments are required: --grade" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "criteria: the figures of one backtest keep their bounds" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    return shutil.copy(EXAMPLE, tmp_path / "freqtrade_ma_cross.py")


def in_force(strategy: Path) -> bool:
    found: bool = json.loads(strategy.with_suffix(".json").read_text())["params"]["buy"]["package_in_force"]
    return found


def test_a_package_is_out_when_its_time_is_over_whether_the_daemon_is_there_or_not(strategy: Path) -> None:
    keeper = Keeper(read_strategy(strategy), None)
    until = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
    assert keeper.keep(package(params=PARAMS, valid_until=until), "approved")
    while in_force(strategy):
        time.sleep(0.02)
    assert datetime.now(UTC).isoformat() >= until
    keeper.keep(package(params=PARAMS), "approved")
    assert in_force(strategy)
    keeper.stop()


def test_a_package_that_is_revoked_when_nobody_can_be_asked_what_stands_is_out(
    strategy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = "pkg/BTC/USDT/1h/ma_cross_v1.0/"
    with FakeDaemon() as daemon:  # it knows no package.list, and refuses it
        offered = package(strategy_id="ma_cross_v1.0", params=PARAMS)
        daemon.append(topic, "package.approved", offered)
        options = ["--symbol", "BTC/USDT", "--timeframe", "1h", "--strategy", "ma_cross_v1.0", "--count", "2"]
        options += ["--grade", "tested"]
        doors = ["--requests", daemon.requests, "--events", daemon.events]
        following = threading.Thread(target=main, args=[[str(strategy), *options, *doors]])
        following.start()
        while not strategy.with_suffix(".json").exists():
            assert following.is_alive()
            time.sleep(0.02)
        assert in_force(strategy)
        daemon.append(topic, "package.revoked", {"package_id": offered["package_id"], "reason": "a trial"})
        following.join(20)
    assert not following.is_alive()
    assert "without a package meanwhile" in capsys.readouterr().err
    assert not in_force(strategy)
