"""Sessions with a real daemon: planned, generated, executed, watched, cancelled, resumed, read, cleaned."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.session_scenes import (
    LONG,
    SMALL,
    SMALL_CHUNKS,
    execute,
    generate,
    import_two_markets,
    table_of,
    wait_for_trials,
)

N_MA, N_RSI = 3 * 21, 21 * 2
N_SMALL = 2 * (N_MA + N_RSI)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("sessions")
    import_two_markets(folder)
    running = DaemonProcess(folder, SMALL_CHUNKS)
    running.start()
    yield running
    assert running.stop() == 0, running.log()[-3000:]


@pytest.fixture(scope="module")
def finished(daemon: DaemonProcess) -> str:
    """A small session that has been executed."""
    with zmq.Context() as context, Dealer(context, daemon.doors["requests"]) as dealer:
        session_id = generate(dealer)
        done = execute(dealer, session_id)
        assert done["status"] == "completed", done
        return session_id


def refusal(dealer: Dealer, message_type: str, data: dict[str, Any]) -> tuple[str, str | None]:
    """The code of a refused request and the path that it names."""
    reply = dealer.ask(message_type, data)
    assert not reply["ok"], reply
    errors = reply["error"].get("errors") or [{}]
    return reply["error"]["code"], errors[0].get("path")


def test_a_plan_counts_and_measures_and_stores_nothing(dealer: Dealer) -> None:
    before = dealer.data("session.list", {})["total"]
    plan = dealer.data("session.plan", SMALL)
    assert (plan["n_items"], plan["n_trials"], plan["exact"], plan["workers"]) == (4, N_SMALL, True, 2)
    assert [item["n_trials"] for item in plan["items"]] == [N_MA, N_MA, N_RSI, N_RSI]
    assert 0 < plan["seconds"] < 60
    assert plan["trials_per_s"] == pytest.approx(plan["n_trials"] / plan["seconds"])
    assert plan["memory_mb"] > 10
    assert plan["disk_mb"] > 0
    assert plan["warnings"] == []
    assert dealer.data("session.list", {})["total"] == before


def test_strategies_that_declare_their_ranges_are_planned_each_for_itself(dealer: Dealer) -> None:
    """Nothing of the one may be taken for the other, though both ask for the same."""
    request = {"symbols": ["BTC/USDT"], "strategies": ["ma_cross_v1.0", "rsi_reversion"], "size": 20}
    plan = dealer.data("session.plan", request)
    alone = [dealer.data("session.plan", {**request, "strategies": [name]}) for name in request["strategies"]]
    assert plan["n_trials"] == 40
    assert plan["disk_mb"] == pytest.approx(sum(each["disk_mb"] for each in alone))
    assert alone[0]["disk_mb"] != alone[1]["disk_mb"]


def test_a_plan_warns_of_what_will_not_fit(dealer: Dealer) -> None:
    wide = {"fast_period": {"min": 2, "max": 100}, "slow_period": {"min": 5, "max": 400}, "signal_threshold": 0.0}
    request = {"symbols": ["BTC/USDT"], "strategies": ["ma_cross_v1.0"], "param_ranges": {"ma_cross_v1.0": wide}}
    assert dealer.data("session.plan", {**request, "mode": "exhaustive"})["n_trials"] == 34_548
    huge = {**wide, "signal_threshold": {"min": 0.0, "max": 0.1, "step": 0.00001}}
    request = {**request, "mode": "exhaustive", "param_ranges": {"ma_cross_v1.0": huge}}
    reply = dealer.ask("session.plan", request)
    assert "345,514,548 trials" in reply["error"]["detail"]
    assert reply["error"]["errors"][0]["path"] == "/data/param_ranges/ma_cross_v1.0"


def test_a_session_tells_where_it_stands(dealer: Dealer, finished: str) -> None:
    status = dealer.data("session.status", {"session_id": finished, "detailed": True})
    assert re.fullmatch(r"session_\d{8}_\d{6}_\d{4}", status["session_id"])
    assert (status["status"], status["progress"], status["items_by_status"]) == ("completed", 1.0, {"completed": 4})
    assert (status["n_done"], status["n_trials"], status["n_failed"], status["eta_s"]) == (N_SMALL, N_SMALL, 0, None)
    assert status["created_at"] <= status["started_at"] <= status["completed_at"]
    assert 0 < status["ms_per_trial"] < 1000
    assert [(item["symbol"], item["strategy_id"]) for item in status["items"]] == [
        ("BTC/USDT", "ma_cross_v1.0"),
        ("ETH/USDT", "ma_cross_v1.0"),
        ("BTC/USDT", "rsi_reversion"),
        ("ETH/USDT", "rsi_reversion"),
    ]
    assert status["best"]["best_score"] == max(item["best_score"] for item in status["items"])
    assert "items" not in {k for k, v in dealer.data("session.status", {"session_id": finished}).items() if v}


def test_a_new_session_waits_and_is_the_newest(dealer: Dealer) -> None:
    session_id = generate(dealer)
    status = dealer.data("session.status", {})
    assert (status["session_id"], status["status"], status["n_done"]) == (session_id, "created", 0)
    assert status["items_by_status"] == {"waiting": 4}
    assert dealer.data("session.list", {})["sessions"][0]["session_id"] == session_id
    assert refusal(dealer, "session.cancel", {"session_id": session_id}) == ("conflict", "/data/session_id")
    assert dealer.data("session.results", {"session_id": session_id})["total"] == 0
    assert dealer.data("session.clean", {"session_id": session_id})["n_trials"] == 0


def test_results_rank_all_searches_together_page_by_page(dealer: Dealer, finished: str) -> None:
    asked = {"session_id": finished, "all": True}
    whole = dealer.data("session.results", {**asked, "limit": 1000})
    assert whole["total"] == len(whole["trials"]) == N_SMALL
    scores = [trial["score"] for trial in whole["trials"]]
    defined = [score for score in scores if score is not None]
    assert defined == sorted(defined, reverse=True)
    assert scores[len(defined) :] == [None] * (len(scores) - len(defined))
    pages = [
        dealer.data("session.results", {**asked, "limit": 50, "offset": at})["trials"] for at in (0, 50, 100, 150, 200)
    ]
    assert [trial for page in pages for trial in page] == whole["trials"]
    eligible = dealer.data("session.results", {"session_id": finished, "limit": 1000})
    assert eligible["trials"] == [trial for trial in whole["trials"] if trial["eligible"]]
    assert 0 < eligible["total"] == len(eligible["trials"]) < N_SMALL
    best = dealer.data("session.status", {"session_id": finished})["best"]
    assert (best["best_score"], best["best_params"]) == (
        eligible["trials"][0]["score"],
        eligible["trials"][0]["params"],
    )
    by_drawdown = dealer.data("session.results", {**asked, "sort": "drawdown", "limit": 1000})["trials"]
    drawdowns = [trial["metrics"]["max_drawdown"] for trial in by_drawdown]
    assert drawdowns == sorted(drawdowns)
    assert refusal(dealer, "session.results", {**asked, "sort": "luck"}) == ("invalid", "/data/sort")


def test_its_searches_are_those_that_a_bot_would_start_itself(dealer: Dealer, finished: str) -> None:
    request = {"symbol": "ETH/USDT", "strategy_id": "rsi_reversion", "method": "grid"}
    request |= {"param_ranges": SMALL["param_ranges"]["rsi_reversion"], "constraints": SMALL["constraints"]}
    alone = dealer.data("optimization.start", request)["optimization_id"]
    dealer.until_done("optimization.status", {"optimization_id": alone})
    items = dealer.data("session.status", {"session_id": finished, "detailed": True})["items"]
    found = [
        dealer.data("optimization.results", {"optimization_id": each, "sort": "index", "limit": 1000})
        for each in (alone, items[3]["optimization_id"])
    ]
    assert found[0]["trials"] == found[1]["trials"]
    assert found[0]["best_params"] == found[1]["best_params"] == items[3]["best_params"]


def test_what_is_complete_is_not_executed_again(dealer: Dealer, finished: str) -> None:
    for more in ({}, {"resume": True}, {"retry_failed": True}):
        asked = {"session_id": finished, **more}
        assert refusal(dealer, "session.execute", asked) == ("conflict", "/data/session_id")
    assert refusal(dealer, "session.cancel", {"session_id": finished}) == ("conflict", "/data/session_id")


@pytest.mark.parametrize("mode", ["grid", "random", "latin_hypercube", "sobol"])
def test_every_mode_makes_as_many_trials_as_were_asked_for(dealer: Dealer, mode: str) -> None:
    session_id = generate(dealer, {**SMALL, "mode": mode, "size": 25, "seed": 3})
    done = execute(dealer, session_id, parallel=1)
    assert done["status"] == "completed", done
    counts = [item["n_trials"] for item in done["items"]]
    assert all(0 < n <= 25 for n in counts)
    assert mode == "grid" or counts == [25] * 4
    assert done["n_done"] == sum(counts)
    dealer.data("session.clean", {"session_id": session_id})


def test_a_cancelled_session_keeps_what_it_has_and_goes_on_where_it_was(dealer: Dealer) -> None:
    undisturbed, disturbed = generate(dealer, LONG), generate(dealer, LONG)
    assert execute(dealer, undisturbed)["status"] == "completed"
    dealer.data("session.execute", {"session_id": disturbed})
    assert refusal(dealer, "session.execute", {"session_id": disturbed}) == ("conflict", "/data/session_id")
    assert refusal(dealer, "session.clean", {"session_id": disturbed}) == ("conflict", "/data/session_id")
    wait_for_trials(dealer, disturbed)
    cancelled = dealer.data("session.cancel", {"session_id": disturbed})
    assert cancelled["status"] == "cancelled"
    again = dealer.data("session.cancel", {"session_id": disturbed})
    assert 0 < cancelled["n_done"] <= again["n_done"] < again["n_trials"]
    assert "running" not in again["items_by_status"]
    assert refusal(dealer, "session.execute", {"session_id": disturbed}) == ("conflict", "/data/resume")
    for _ in range(3):  # resumed and cancelled at once, while what is cancelled still comes to its end
        dealer.data("session.execute", {"session_id": disturbed, "resume": True})
        dealer.data("session.cancel", {"session_id": disturbed})
    done = execute(dealer, disturbed, resume=True, parallel=1)
    assert done["status"] == "completed", done
    assert table_of(dealer, disturbed) == table_of(dealer, undisturbed)


def test_a_search_of_its_own_is_cancelled_and_resumed_at_once(dealer: Dealer) -> None:
    request = {
        "symbol": "BTC/USDT",
        "strategy_id": "ma_cross_v1.0",
        "param_ranges": LONG["param_ranges"]["ma_cross_v1.0"],
        "method": "grid",
    }
    started = dealer.data("optimization.start", request)["optimization_id"]
    asked = {"optimization_id": started}
    assert refusal(dealer, "optimization.resume", asked) == ("conflict", "/data/optimization_id")
    for _ in range(3):
        dealer.data("optimization.cancel", asked)
        assert dealer.data("optimization.status", asked)["status"] == "cancelled"
        assert dealer.data("optimization.resume", asked)["status"] == "pending"
        assert dealer.data("optimization.status", asked)["status"] in ("pending", "running", "completed")
    done = dealer.until_done("optimization.status", asked)
    assert (done["status"], done["n_done"]) == ("completed", done["n_trials"]), done
    assert refusal(dealer, "optimization.resume", asked) == ("conflict", "/data/optimization_id")
    assert refusal(dealer, "optimization.resume", {"optimization_id": "opt-no"}) == (
        "not_found",
        "/data/optimization_id",
    )


def test_a_session_whose_daemon_dies_goes_on_by_itself(tmp_path: Path, context: zmq.Context[Any]) -> None:
    import_two_markets(tmp_path)
    daemon = DaemonProcess(tmp_path, SMALL_CHUNKS)
    daemon.start()
    with Dealer(context, daemon.doors["requests"]) as dealer:
        session_id = generate(dealer, LONG)
        dealer.data("session.execute", {"session_id": session_id})
        wait_for_trials(dealer, session_id)
    daemon.stop()
    daemon.start()
    with Dealer(context, daemon.doors["requests"]) as dealer:
        wait_for_trials(dealer, session_id, 9_000)
        daemon.kill()
        daemon.start()
    with Dealer(context, daemon.doors["requests"]) as dealer:
        done = dealer.until_done("session.status", {"session_id": session_id})
        assert (done["status"], done["n_done"]) == ("completed", done["n_trials"]), done
        cleaned = dealer.data("session.clean", {"days": 0})
        assert (cleaned["sessions"], cleaned["n_trials"]) == ([session_id], done["n_trials"])
        assert refusal(dealer, "session.status", {"session_id": session_id}) == ("not_found", "/data/session_id")
        assert refusal(dealer, "session.status", {}) == ("not_found", "/data/session_id")
        assert dealer.data("report.list", {})["total"] == 2
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log()


@pytest.mark.parametrize("message", ["execute", "status", "cancel", "results", "clean"])
def test_an_id_that_is_none(dealer: Dealer, message: str) -> None:
    asked = {"session_id": "session_20200101_000000_0000"}
    assert refusal(dealer, f"session.{message}", asked) == ("not_found", "/data/session_id")
    assert refusal(dealer, f"session.{message}", {"session_id": ""})[0] == "invalid"


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"symbols": ["BTC/USDT", "NO/SUCH"]}, "not_found", "/data/symbols/1"),
        ({"strategies": ["ma_cross_v1.0", "none"]}, "invalid", "/data/param_ranges/rsi_reversion"),
        ({"strategies": ["none"], "param_ranges": {}}, "not_found", "/data/strategies/0"),
        (
            {"param_ranges": {"ma_cross_v1.0": {"fats_period": 3}}},
            "invalid",
            "/data/param_ranges/ma_cross_v1.0/fats_period",
        ),
        ({"mode": "random"}, "invalid", "/data/size"),
        ({"mode": "guess"}, "invalid", "/data/mode"),
        ({"size": 0, "mode": "random"}, "invalid", "/data/size"),
        ({"symbols": []}, "invalid", "/data/symbols"),
        ({"constraints": ["luck >= 3"]}, "invalid", "/data/constraints/0"),
        ({"optimization_target": "luck"}, "invalid", "/data/optimization_target"),
        ({"conditions": ["fast_period <"]}, "invalid", "/data/conditions/0"),
    ],
)
def test_what_cannot_be_generated_names_the_field(
    dealer: Dealer, changed: dict[str, Any], code: str, path: str
) -> None:
    for message in ("session.generate", "session.plan"):
        assert refusal(dealer, message, {**SMALL, **changed}) == (code, path)


@pytest.mark.parametrize("data", [{}, {"session_id": "session_1", "days": 3}])
def test_cleaning_needs_one_of_an_id_and_days(dealer: Dealer, data: dict[str, Any]) -> None:
    assert refusal(dealer, "session.clean", data)[0] == "invalid"


def test_a_session_over_http(daemon: DaemonProcess) -> None:
    def post(message_type: str, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        url = f"http://{daemon.doors['http']}/api/messages/{message_type}"
        request = urllib.request.Request(url, json.dumps(data).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=90) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    request = {**SMALL, "symbols": ["ETH/USDT"], "mode": "random", "size": 30}
    code, made = post("session.generate", request)
    assert code == 200, made
    asked = {"session_id": made["session_id"]}
    assert post("session.execute", asked)[0] == 200
    status: dict[str, Any] = {}

    def ended() -> bool:
        status.update(post("session.status", asked)[1])
        return status["status"] not in ("pending", "running")

    wait_until(ended, 60.0, lambda: f"it is still {status}")
    assert (status["status"], status["n_done"]) == ("completed", 60)
    assert post("session.results", {**asked, "limit": 3})[1]["trials"][0]["score"] == status["best"]["best_score"]
    assert post("session.execute", asked)[0] == 409
    assert post("session.clean", asked)[1]["n_trials"] == 60
    assert post("session.status", asked)[0] == 404
