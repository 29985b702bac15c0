"""The benchmarks of the wire in small, over one daemon: what they claim apart from time holds on any machine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import zmq

from benchmarks import (
    curve_cost,
    delivery_kills,
    fairness,
    fanout,
    flood,
    fuzz_frames,
    group_commit,
    requests_rate,
    soak,
)
from benchmarks.approvals import plant
from benchmarks.loads import dealers, read, serving
from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer
from storage.redis_server import RedisServer

SESSION = {
    "symbols": ["BTC/USDT"],
    "strategies": ["ma_cross_v1.0"],
    "mode": "random",
    "size": 200_000,
    "param_ranges": {"ma_cross_v1.0": {"fast_period": {"min": 2, "max": 60}, "slow_period": {"min": 61, "max": 260}}},
}


class Loaded(NamedTuple):
    """A running daemon with markets, and the packages in force that a test may supersede."""

    daemon: DaemonProcess
    redis: RedisServer
    standing: dict[str, str]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    fanout.QUIET_MS = 200
    folder = tmp_path_factory.mktemp("loaded")
    import_markets(folder)
    standing = plant(folder, 5 + soak.MARKETS)
    with RedisServer() as redis:
        environ = {**fuzz_frames.SETTINGS, "TUNESMITH_CACHE__REDIS_URL": redis.url}
        daemon = DaemonProcess(folder, environ, keeps_doors=True)
        daemon.start()
        yield Loaded(daemon, redis, standing)
        assert daemon.stop() == 0, daemon.log()[-3000:]


def test_every_kind_of_request_is_answered_at_any_rate(loaded: Loaded) -> None:
    daemon = loaded.daemon
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as dealer:
        kinds = requests_rate.lookups(dealer, "M000/USDT")
    ratios = requests_rate.beside_echo(daemon, kinds, 4, 1, 0.1)
    assert set(ratios) == {"ping", "backtest.status", "strategy.get", "package.latest"}
    assert all(ratio > 0 for ratio in ratios.values())
    assert requests_rate.approve_to_bot(daemon, "M000/USDT", loaded.standing["M000/USDT"], 3)[0] > 0
    assert requests_rate.judged({"approve": 0.5, "ping, 16 clients": 0.7})
    assert not requests_rate.judged({"approve": 1.5})


def test_submissions_beside_a_server_that_commits_each(loaded: Loaded, tmp_path: Path) -> None:
    ack = read("package.ack", {"package_id": loaded.standing["M000/USDT"], "outcome": "applied"})
    one_by_one = serving(group_commit.ONE_BY_ONE, str(tmp_path / "peer.db"))
    with zmq.Context() as context, one_by_one as (address, _), group_commit.paused(loaded.daemon):
        peer, ours = dealers(context, address, 8), dealers(context, loaded.daemon.doors["requests"], 8)
        together, alone, times = group_commit.ratio(peer, ours, ack, 1, 0.2)
        assert times == together / alone > 0
        for socket in (*peer, *ours):
            socket.close()


def test_every_bot_hears_every_approval_and_who_joins_gets_the_newest(loaded: Loaded) -> None:
    times, _ = fanout.fan_out(loaded.daemon, ("M001/USDT", loaded.standing["M001/USDT"]), 20, 3)
    assert len(times) >= 60
    house = fanout.Planted(loaded.daemon, ("M001/USDT", loaded.standing["M001/USDT"]), [], "")
    [joined], [beside] = fanout.joins(house, 50, 1)
    assert joined.duplicates >= 0
    assert beside.seconds > 0


def test_keys_cost_what_they_cost_and_let_every_bot_in(loaded: Loaded) -> None:
    with fanout.planted(4) as house:
        [joined], _ = fanout.joins(house, 20, 1)
        assert joined.seconds > 0
        keys = house.keys, house.secret
        costs = curve_cost.measure(
            loaded.daemon, house.daemon, keys, rounds=1, turn_s=0.1, rate=500.0, window=2, types=["ping"]
        )
    assert {name: len(cost.keyed_us) for name, cost in costs.items()} == {"ping paced": 1, "ping full": 1}
    assert all(min(*cost.plain_us, *cost.keyed_us, *cost.bare_us, *cost.bare_keyed_us) > 0 for cost in costs.values())
    good = curve_cost.Cost([10.0, 30.0, 10.0], [12.0, 12.0, 12.0], [1.0], [1.0])
    assert curve_cost.judged({"ping full": good})
    assert not curve_cost.judged({"ping full": good._replace(plain_us=[9.0, 9.0, 10.0])})


def test_a_flood_of_any_kind_leaves_an_honest_client_its_answers(loaded: Loaded) -> None:
    found = flood.measure(loaded.daemon, 20, 200)
    assert all(len(each.times) == len(each.beside) == 20 for each in found.values())
    codes = {kind: set(each.codes) for kind, each in found.items()}
    assert codes["ping"] <= {"ok"}
    assert "busy" in codes["refused search"] | codes["waiting"] | codes["broken strategy"]
    assert all("internal" not in each for each in codes.values())


def test_a_single_backtest_gets_its_turn_beside_a_session_and_behind_a_crowd(loaded: Loaded) -> None:
    with zmq.Context() as context, Dealer(context, loaded.daemon.doors["requests"]) as dealer:
        alone, beside = fairness.beside_session(loaded.daemon, dealer, SESSION, 1)
        assert (len(alone), len(beside)) == (1, 1)
        assert fairness.behind_crowd(loaded.daemon, dealer, 5) > 0


def test_everything_at_once_leaves_nothing_undone(loaded: Loaded) -> None:
    standing = dict(list(loaded.standing.items())[-soak.MARKETS :])
    found = soak.soaked(soak.Soak(loaded.daemon, loaded.redis, standing, 1, kills=False), 0.03)
    assert (found["lost"], found["complete"]) == ([], True), found
    assert found["tasks"] > 0


def test_a_kill_under_load_loses_nothing_that_was_acknowledged(loaded: Loaded) -> None:
    daemon = loaded.daemon
    symbols = [f"M{number:03d}/USDT" for number in range(2, 5)]
    before = {symbol: len(delivery_kills.stored(daemon.folder, symbol)) for symbol in symbols}
    markets = [delivery_kills.Market(daemon, symbol, loaded.standing[symbol]) for symbol in symbols]
    asyncio.run(delivery_kills.play(daemon, markets, 1, random.Random(7)))
    found = delivery_kills.compared(markets, daemon.folder, 1, 0.0, before)
    assert found.is_good, found


def test_whatever_comes_in_is_answered_as_the_contract_has_it(loaded: Loaded) -> None:
    found = fuzz_frames.fuzz(loaded.daemon, 1_500, seed=11)
    assert (found.malformed, found.n_missing, found.codes["internal"]) == ([], 0, 0), found
    assert found.codes.total() == 1_500
    assert {"ok", "bad_json", "invalid", "too_large"} <= set(found.codes)


def test_every_answer_over_http_is_one_that_openapi_promises(loaded: Loaded) -> None:
    pytest.importorskip("schemathesis")
    assert fuzz_frames.over_http(loaded.daemon.doors["http"], 1, 5, "fuzzing") == 0
