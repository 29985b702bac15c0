"""The whole conversation with a daemon on an empty data directory: every message type, in one order."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

from golden.candles import candles
from golden.conversation import Talk

GOLD, NOISE, SHORT, DAILY = "GOLD/USDT", "NOISE/USDT", "SHORT/USDT", "SILVER/USDT"
RULE = "ma_cross_v1.0"
EDGE = {"fast_period": {"min": 2, "max": 12, "step": 2}, "slow_period": {"min": 10, "max": 60, "step": 10}}
WIDE = {"fast_period": {"min": 2, "max": 60}, "slow_period": {"min": 61, "max": 240}}
KEPT = {"fast_period": 4, "slow_period": 20, "signal_threshold": 0.0}
CODE = '''"""Moving-average cross with a stop."""
fast = Int(5, 2, 60)
slow = Int(20, 5, 240)
kind = Choice("sma", ["sma", "ema"])
require(fast < slow)
enter_long(crossed_above(sma(close, fast), sma(close, slow)))
exit_long(crossed_below(sma(close, fast), sma(close, slow)))
stop_loss(0.2)
'''
METHODS: dict[str, dict[str, Any]] = {
    "random": {},
    "latin_hypercube": {},
    "sobol": {},
    "tpe": {"n_initial": 8, "batch": 4},
    "gaussian_process": {"n_initial": 8, "batch": 4},
    "genetic": {"population": 8},
    "staged": {"stages": [{"name": "slow", "params": {"slow_period": [10, 20, 30]}}]},
    "zoom": {"n_initial": 8, "rounds": 2},
}
ENVIRON = {
    "TUNESMITH_WORKERS__COUNT": "1",
    "TUNESMITH_WORKERS__CHUNK_TRIALS": "200",
    "TUNESMITH_STATISTICS__N_PERMUTATIONS": "199",
    "TUNESMITH_STATISTICS__MAX_PERMUTATIONS": "399",
    "TUNESMITH_LIMITS__MAX_BODY_BYTES": "300000",
    "TUNESMITH_LIMITS__VERDICTS_PER_MARKET": "2",
    "TUNESMITH_LIMITS__TASKS_PER_USER": "3",
    "TUNESMITH_BACKUPS__EVERY_H": "0",
    "TUNESMITH_EVENTS__HEARTBEAT_S": "0.5",
}
"""Settings under which the conversation is recorded."""

_UNSURE = ("progress", "n_done", "eta_s", "best_params", "best_score", "status", "completed_at", "started_at")
"""What a status says of work that is cut short."""


def converse(talk: Talk) -> None:
    """Say everything, part by part; each goes on with what those before made."""
    for part in (markets, strategies, backtests, searches, analyses, endings, sessions, schedules, walk_forwards,
                 verdicts, packages, records):  # fmt: skip
        part(talk)


def markets(talk: Talk) -> None:
    """Market data, and the daemon itself."""
    talk.say("ping", "ping", {})
    talk.say("server-info", "server.info", {}, loose=("workers", "ready"))
    talk.say("data-none", "data.list", {})
    for symbol, seed, drift, n_bars in ((GOLD, 7, 0.5, 1500), (NOISE, 45, 0.0, 1500), (SHORT, 9, 0.5, 240)):
        rows = candles(seed, drift, n_bars)
        reply = talk.quietly("data.import", {"symbol": symbol, "timeframe": "1w", "bars": rows})
        talk.said.keep(f"data-import-{symbol}", {"type": "data.import", "n_bars": n_bars, "reply": reply})
    rows = candles(11, 0.5, 40)
    with_gap = [row for i, row in enumerate(rows) if i not in (12, 13)]
    talk.say("data-import-gap", "data.import", {"symbol": "GAP/USDT", "timeframe": "1w", "bars": with_gap[:15]})
    talk.say("data-import-more", "data.import", {"symbol": "GAP/USDT", "timeframe": "1w", "bars": with_gap[10:20]})
    talk.say("data-list", "data.list", {})
    talk.say("data-list-one", "data.list", {"symbol": GOLD, "venue": "local"})


def strategies(talk: Talk) -> None:
    """A strategy's life; the ones that are there."""
    talk.say("strategy-list", "strategy.list", {})
    talk.say("strategy-get-kernel", "strategy.get", {"id": RULE})
    talk.say(
        "strategy-create",
        "strategy.create",
        {"id": "mine", "code": CODE, "name": "Mine", "default_params": {"fast": 7}},
    )
    talk.say("strategy-update", "strategy.update", {"id": "mine", "version": "1.1", "default_params": {"fast": 8}})
    talk.say("strategy-get", "strategy.get", {"id": "mine"})
    talk.say("strategy-get-old", "strategy.get", {"id": "mine", "version": "1.0"})
    talk.say("strategy-create-second", "strategy.create", {"id": "second", "code": CODE})
    talk.say("strategy-delete", "strategy.delete", {"id": "second"})
    talk.say("strategy-list-page", "strategy.list", {"limit": 2, "offset": 1})


def backtest(talk: Talk, name: str, *, report: bool = True, **asked: Any) -> Any:
    """A backtest from its start to its report; the final status."""
    data = {"symbol": GOLD, "strategy_id": RULE, **asked}
    started = talk.say(f"{name}-start", "backtest.start", data)
    which = {"task_id": started["task_id"]}
    talk.ended("backtest.status", which)
    found = talk.say(f"{name}-status", "backtest.status", which)
    if report:
        talk.say(f"{name}-report", "report.get", {"report_id": found["report_id"]})
    return found


def backtests(talk: Talk) -> None:
    """Backtests by both engines, with every option of a market."""
    backtest(talk, "backtest", params=KEPT)
    backtest(talk, "backtest-vectorbt", symbol=SHORT, params=KEPT, engine="vectorbt")
    backtest(
        talk,
        "backtest-options",
        symbol=SHORT,
        venue="local",
        timeframe="1w",
        strategy_id="mine",
        strategy_version="1.0",
        start_date="1990-02-01",
        end_date="1992-12-31",
        costs={"fee_rate": 0.002, "slippage_rate": 0.001, "fixed_fee": 1.0},
        fill="close",
        direction="long",
        initial_cash=5000.0,
    )
    backtest(talk, "backtest-both", symbol=SHORT, strategy_id="bollinger_reversion", direction="both")
    backtest(talk, "backtest-holdout", report=False, symbol=SHORT, params=KEPT, use_holdout=True)
    talk.say("report-list", "report.list", {"symbol": SHORT, "limit": 2})
    talk.say("report-list-rule", "report.list", {"strategy_id": "mine"})


def search(talk: Talk, name: str, **asked: Any) -> str:
    """A search from its start to its end; its id."""
    data = {"symbol": GOLD, "strategy_id": RULE, "param_ranges": EDGE, **asked}
    started = talk.say(f"{name}-start", "optimization.start", data)
    which = {"optimization_id": started["optimization_id"]}
    talk.ended("optimization.status", which)
    talk.say(f"{name}-status", "optimization.status", which)
    return str(started["optimization_id"])


def searches(talk: Talk) -> None:
    """Searches by every method, for every kind of target."""
    grid = search(talk, "grid", method="grid")
    talk.say("grid-results", "optimization.results", {"optimization_id": grid, "limit": 12})
    by_return = {"optimization_id": grid, "sort": "total_return", "descending": False, "limit": 3, "offset": 2}
    talk.say("grid-results-sorted", "optimization.results", by_return)
    for method, options in METHODS.items():
        found = search(talk, method, method=method, max_iterations=16, seed=5, options=options)
        shown = {"optimization_id": found, "sort": "index", "limit": 8}
        talk.say(f"{method}-results", "optimization.results", shown)
    targets = ["sharpe", {"total_return": 1.0, "max_drawdown": -0.5}]
    several = search(
        talk, "nsga2", method="nsga2", max_iterations=16, options={"population": 8}, optimization_target=targets
    )
    talk.say("nsga2-front", "optimization.results", {"optimization_id": several, "front": True})
    search(
        talk,
        "expression",
        strategy_id="mine",
        param_ranges={"fast": [5, 9], "slow": {"min": 20, "max": 40, "step": 10}, "kind": ["sma", "ema"]},
        conditions=["fast * 3 < slow"],
        optimization_target="total_return / (max_drawdown + 0.1)",
        constraints=["n_trades >= 3", "max_drawdown <= 0.9"],
    )
    search(talk, "symbols", symbol=None, symbols=[GOLD, NOISE], aggregate="minimum", constraints={"min_trades": 2})
    search(talk, "stopped", method="random", max_iterations=60, stop={"batch": 10, "target": 0.1}, warm_start=grid)
    search(talk, "loss", method="random", max_iterations=5, optimization_target="freqtrade:SharpeHyperOptLoss")
    talk.say("warm-results", "optimization.results", {"optimization_id": _id(talk, "stopped"), "limit": 3})
    talk.say("symbols-results", "optimization.results", {"optimization_id": _id(talk, "symbols"), "limit": 3})
    talk.say("report-of-search", "report.list", {"optimization_id": grid})


def _id(talk: Talk, name: str) -> str:
    return str(talk.said.steps[f"{name}-start"]["reply"]["data"]["optimization_id"])


def analyses(talk: Talk) -> None:
    """What is said about searches; exports in every format."""
    grid, several = _id(talk, "grid"), _id(talk, "nsga2")
    talk.say("analyze", "optimization.analyze", {"optimization_id": grid, "n": 3})
    heat_map = {"what": ["heat_map"], "x": "fast_period", "y": "slow_period", "statistic": "best"}
    talk.say("analyze-heat-map", "optimization.analyze", {"optimization_id": grid, **heat_map})
    talk.say("analyze-front", "optimization.analyze", {"optimization_id": several, "what": ["front"], "target": 1})
    by_anova = {"what": ["importance"], "importance_method": "ped_anova", "by": "total_return"}
    talk.say("analyze-importance", "optimization.analyze", {"optimization_id": grid, **by_anova})
    talk.say("compare", "optimization.compare", {"a": grid, "b": _id(talk, "random"), "by": "sharpe"})
    for kind in ("csv", "json", "parquet"):
        export(talk, f"export-{kind}", {"optimization_id": _id(talk, "random"), "format": kind})


def export(talk: Talk, name: str, data: dict[str, Any]) -> None:
    """An exported file: its size and hash are those of its bytes, and its text is kept as values."""
    reply = talk.quietly("optimization.export", data)
    content = base64.b64decode(reply["content"])
    assert (reply["size"], reply["version"]) == (len(content), hashlib.sha256(content).hexdigest())
    kept = {**reply, "size": "<its size>", "version": "<its sha256>", "content": _TABLES[data["format"]](content)}
    talk.said.keep(name, {"type": "optimization.export", "data": data, "reply": kept})


def _csv_table(content: bytes) -> Any:
    def value(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    rows = csv.DictReader(io.StringIO(content.decode()))
    return [{name: value(text) for name, text in row.items()} for row in rows]


def _json_table(content: bytes) -> Any:
    return json.loads(content)


def _parquet_table(content: bytes) -> Any:
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    return {"columns": {field.name: str(field.type) for field in table.schema}, "first": table.slice(0, 2).to_pylist()}


_TABLES: dict[str, Callable[[bytes], Any]] = {"csv": _csv_table, "json": _json_table, "parquet": _parquet_table}


def endings(talk: Talk) -> None:
    """Tasks that are cancelled, that fail, and that go on."""
    long = {"symbol": GOLD, "strategy_id": RULE, "param_ranges": WIDE, "method": "random", "max_iterations": 10_000,
            "constraints": {"min_trades": 2}}  # fmt: skip
    started = talk.say("cancelled-start", "optimization.start", {**long, "seed": 3})
    which = {"optimization_id": started["optimization_id"]}
    talk.say("cancelled", "optimization.cancel", which, loose=_UNSURE)
    talk.ended("optimization.status", which)
    talk.say(
        "cancelled-status", "optimization.status", which, loose=("progress", "n_done", "best_params", "best_score")
    )
    talk.say("resume", "optimization.resume", which, loose=_UNSURE)
    talk.ended("optimization.status", which)
    talk.say("resumed-status", "optimization.status", which)
    talk.say("resumed-results", "optimization.results", {**which, "limit": 3})
    blocked = talk.quietly("optimization.start", {**long, "max_iterations": 100_000, "seed": 4, "priority": 9})
    waiting = talk.say("backtest-waiting", "backtest.start", {"symbol": GOLD, "strategy_id": RULE})
    talk.say("backtest-cancel", "backtest.cancel", {"task_id": waiting["task_id"]}, loose=_UNSURE)
    talk.ended("backtest.status", {"task_id": waiting["task_id"]})
    talk.say("backtest-cancelled", "backtest.status", {"task_id": waiting["task_id"]}, loose=_UNSURE[:3])
    talk.say("task-cancel", "task.cancel", {"task_id": blocked["optimization_id"]}, loose=_UNSURE)
    talk.ended("optimization.status", {"optimization_id": blocked["optimization_id"]})
    talk.say("task-logs", "task.logs", {"task_id": _id(talk, "grid")})
    talk.say("task-logs-after", "task.logs", {"task_id": _id(talk, "grid"), "after": 1, "limit": 1})
    talk.say("workers-resize", "workers.resize", {"count": 1}, loose=("alive", "ready", "busy", "queued"))


def sessions(talk: Talk) -> None:
    """A session from its plan to its end."""
    asked = {
        "symbols": [GOLD, NOISE],
        "strategies": [RULE, "mine"],
        "mode": "random",
        "size": 12,
        "param_ranges": {RULE: EDGE},
        "seed": 2,
    }
    loose = ("workers",)
    talk.say("session-plan", "session.plan", asked, loose=loose)
    for name in ("session", "session-dropped"):
        talk.say(f"{name}-generate", "session.generate", {**asked, "mode": "latin_hypercube"})
    which = {"session_id": talk.said.steps["session-generate"]["reply"]["data"]["session_id"]}
    dropped = {"session_id": talk.said.steps["session-dropped-generate"]["reply"]["data"]["session_id"]}
    talk.say(
        "session-execute", "session.execute", {**which, "parallel": 1}, loose=(*_UNSURE, "items_by_status", "best")
    )
    talk.ended("session.status", which)
    talk.say("session-status", "session.status", {**which, "detailed": True})
    talk.say("session-results", "session.results", {**which, "limit": 5})
    talk.say("session-results-all", "session.results", {**which, "all": True, "sort": "total_return", "limit": 3})
    talk.refused("session-cancel-early", "session.cancel", dropped)
    talk.quietly("session.execute", dropped)
    unsure = (*_UNSURE, "items_by_status", "best", "ms_per_trial")
    talk.say("session-cancel", "session.cancel", dropped, loose=unsure)
    talk.ended("session.status", dropped)
    talk.say("session-list", "session.list", {"status": "completed"})
    talk.say("session-clean", "session.clean", dropped, loose=("n_trials",))


def schedules(talk: Talk) -> None:
    """A schedule's life."""
    asked = {"symbol": GOLD, "strategy_id": RULE, "param_ranges": EDGE, "approve": {"min_trades": 3}}
    talk.say("schedule-create", "schedule.create", {"schedule_id": "weekly", "search": asked, "every": "5000w"})
    talk.say("schedule-create-cron", "schedule.create", {"schedule_id": "leap", "search": asked, "cron": "0 3 29 2 *"})
    talk.say("schedule-list", "schedule.list", {})
    talk.say("schedule-delete", "schedule.delete", {"schedule_id": "leap"})


def walk_forwards(talk: Talk) -> None:
    """A walk-forward from its start to its stitched account."""
    asked = {
        "symbol": GOLD,
        "strategy_id": RULE,
        "param_ranges": EDGE,
        "train_bars": 400,
        "test_bars": 200,
        "constraints": ["n_trades >= 2"],
    }
    started = talk.say("walkforward-start", "walkforward.start", {**asked, "anchored": False}, loose=("status",))
    which = {"walkforward_id": started["walkforward_id"]}
    talk.ended("walkforward.status", which)
    talk.say("walkforward-status", "walkforward.status", which)


def verdict(talk: Talk, name: str, **asked: Any) -> Any:
    """A verdict that is waited for, and its evidence."""
    reply = talk.say(name, "strategy.approve", {"strategy_id": RULE, **asked})
    which = {"verdict_id": reply["verdict_id"]}
    assert reply["status"] == "completed", reply
    talk.say(f"{name}-get", "verdict.get", which)
    return reply


def verdicts(talk: Talk) -> None:
    """Verdicts of every kind, and replays of them."""
    tested = verdict(talk, "approve", optimization_id=_id(talk, "grid"))
    assert tested["grade"] == "tested", tested["reason"]
    noisy = search(talk, "noise", symbol=NOISE, method="grid")
    rejected = verdict(talk, "reject", optimization_id=noisy)
    assert rejected["verdict"] == "rejected", rejected
    talk.say("reject-status", "verdict.status", {"verdict_id": rejected["verdict_id"]})
    lax = {"min_sharpe": -9.0, "min_return": -1.0, "max_drawdown": 1.0, "min_profit_factor": 0.0}
    by_chance = verdict(talk, "reject-by-chance", optimization_id=noisy, approval_criteria=lax)
    assert "shuffled" in by_chance["reason"], by_chance["reason"]
    verdict(
        talk,
        "too-few-bars",
        optimization_id=search(talk, "few", symbol=SHORT, method="grid", constraints={"min_trades": 1}),
    )
    by_backtest = backtest(talk, "kept", report=False, params=KEPT)
    criteria = {"approval_criteria": {"min_trades": 2, "max_drawdown": 0.9}, "apply": "when_flat"}
    by_criteria = {"strategy_id": RULE, "backtest_id": by_backtest["task_id"], **criteria}
    kept = talk.say("approve-backtest", "strategy.approve", by_criteria)
    assert kept["grade"] == "criteria", kept["reason"]
    talk.say("verdict-list", "verdict.list", {"symbol": NOISE, "limit": 1})
    for name, which in (
        ("replay-package", {"package_id": kept["parameter_package"]["package_id"]}),
        ("replay-rejected", {"verdict_id": rejected["verdict_id"]}),
    ):
        replayed = talk.say(name, "verdict.replay", which)
        assert replayed["equal"], replayed
        talk.say(f"{name}-status", "replay.status", {"task_id": replayed["task_id"]})
    approved = {"symbol": "FRESH/USDT", "timeframe": "1w", "bars": candles(21, 0.6, 1500)}
    talk.quietly("data.import", approved)
    both = search(talk, "straight", symbol="FRESH/USDT", method="grid", approve={"min_sharpe": 9.0})
    decided = talk.quietly("optimization.status", {"optimization_id": both})["verdict_id"]
    talk.ended("verdict.status", {"verdict_id": decided})
    talk.say("straight-verdict", "verdict.status", {"verdict_id": decided})


def packages(talk: Talk) -> None:
    """Packages: what bots read, answer, and what operators take back."""
    found = talk.say("package-list", "package.list", {})["packages"]
    of_gold = [each["package"]["package_id"] for each in found if each["package"]["symbol"] == GOLD]
    assert len(of_gold) == 2, "a tested one, and one by criteria"
    for each in of_gold:
        talk.say(f"package-get-{of_gold.index(each)}", "package.get", {"package_id": each})
    talk.say("package-ack", "package.ack", {"package_id": of_gold[0]}, client="bot-7")
    refused = {"package_id": of_gold[0], "outcome": "refused", "reason": "not mine"}
    talk.say("package-ack-refused", "package.ack", refused, client="bot-8")
    talk.say("package-latest", "package.latest", {"symbol": GOLD, "strategy_id": RULE, "timeframe": "1w"})
    talk.say("package-list-in-force", "package.list", {"in_force": True, "limit": 5})
    talk.say("package-rollback", "package.rollback", {"package_id": of_gold[0], "reason": "back"})
    talk.say("package-rolled-back", "package.get", {"package_id": of_gold[0]})
    now = talk.say("package-latest-again", "package.latest", {"symbol": GOLD})
    talk.say("package-revoke", "package.revoke", {"package_id": now["package"]["package_id"], "reason": "test"})
    talk.refused("package-none", "package.latest", {"symbol": GOLD})


def records(talk: Talk) -> None:
    """What is on record at the end."""
    talk.say("task-list", "task.list", {"limit": 1000})
    talk.say("task-list-kind", "task.list", {"kind": "verdict", "status": "completed", "limit": 2})
    talk.say("audit-list", "audit.list", {"limit": 1000})
    talk.say("events-snapshot", "events.snapshot", {"topics": ["pkg/"]})
    talk.say("events-replay", "events.replay", {"topics": ["pkg/", "task/"], "limit": 25})
    talk.say("events-replay-page", "events.replay", {"topics": ["pkg/"], "after": 3, "limit": 1})
