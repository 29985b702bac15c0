"""What is refused, and in which words: every error code that can be brought about from outside, with its text."""

from __future__ import annotations

import json
from typing import Any

from golden.conversation import Talk
from golden.scenario import GOLD, RULE, WIDE

SEARCH = {"symbol": GOLD, "strategy_id": RULE}


def refuse(talk: Talk) -> None:
    """Send what is no request, and requests that are refused."""
    _frames(talk)
    _fields(talk)
    _values(talk)
    _states(talk)


def _body(type: str, data: Any, **more: Any) -> bytes:
    return json.dumps({"v": 1, "type": type, "id": "r", "data": data, **more}).encode()


def _frames(talk: Talk) -> None:
    """Messages that are no request, or not of this protocol."""
    for name, body in (
        ("empty", b""),
        ("no-json", b'{"v": 1, "type": "ping", "id": "x"'),
        ("no-utf-8", b'{"v": 1, "type": "ping", "id": "\xff"}'),
        ("a-list", b"[1, 2]"),
        ("nothing-in-it", b"{}"),
        ("no-id", b'{"v": 1, "type": "ping"}'),
        ("bad-id", b'{"v": 1, "type": "ping", "id": "a b"}'),
        ("version-2", b'{"v": 2, "type": "ping", "id": "x", "data": {}}'),
        ("version-text", b'{"v": "1", "type": "ping", "id": "x"}'),
        ("unknown-type", b'{"v": 1, "type": "backtest.begin", "id": "x"}'),
        ("unknown-type-far", b'{"v": 1, "type": "zzz", "id": "x"}'),
        ("unknown-member", b'{"v": 1, "type": "ping", "id": "x", "extra": 1}'),
        ("deadline-0", b'{"v": 1, "type": "ping", "id": "x", "deadline_ms": 0}'),
        ("data-list", b'{"v": 1, "type": "ping", "id": "x", "data": []}'),
        ("plain", b'{"v": 1, "type": "data.list", "id": "x", "data": {"venue": "none"}}'),
    ):
        talk.raw(f"frames-{name}", body)
    talk.raw("frames-five", b"a", b"b", b"c", b"d", _body("ping", {}))
    talk.raw("frames-large", _body("strategy.create", {"id": "large", "code": "#" * 300_000}))


def _fields(talk: Talk) -> None:
    """Data that its schema does not allow: each with the path of the field."""
    for name, type, data in (
        ("unknown", "backtest.start", {**SEARCH, "simbol": "x"}),
        ("missing", "backtest.start", {"symbol": GOLD}),
        ("nested", "backtest.start", {**SEARCH, "costs": {"fee_rate": 2.0}}),
        ("pattern", "backtest.start", {**SEARCH, "timeframe": "1 hour"}),
        ("choice", "backtest.start", {**SEARCH, "fill": "open"}),
        ("kind", "backtest.start", {**SEARCH, "params": {"fast_period": [1]}}),
        ("list-entry", "optimization.start", {**SEARCH, "conditions": ["a < b", 3]}),
        ("range", "optimization.start", {**SEARCH, "param_ranges": {"fast_period": {"min": 1, "mex": 2}}}),
        ("bound", "optimization.results", {"optimization_id": "opt-x", "limit": 0}),
        ("package-id", "package.get", {"package_id": "abc"}),
        ("empty", "events.replay", {"topics": []}),
    ):
        talk.raw(f"fields-{name}", _body(type, data))


def _values(talk: Talk) -> None:
    """Values that are well formed and still not possible."""
    for name, type, data in (
        ("symbol", "backtest.start", {**SEARCH, "symbol": "GOLB/USDT"}),
        ("timeframe", "backtest.start", {**SEARCH, "timeframe": "1h"}),
        ("date", "backtest.start", {**SEARCH, "start_date": "yesterday"}),
        ("dates", "backtest.start", {**SEARCH, "start_date": "1999-01-01", "end_date": "1998-01-01"}),
        ("strategy", "backtest.start", {**SEARCH, "strategy_id": "ma_cros"}),
        ("param", "backtest.start", {**SEARCH, "params": {"fast": 3}}),
        ("param-bound", "backtest.start", {**SEARCH, "params": {"fast_period": 100_000}}),
        ("ranges", "optimization.start", {**SEARCH, "param_ranges": {"fast_perod": [1, 2]}}),
        ("method", "optimization.start", {**SEARCH, "method": "grid", "options": {"population": 8}}),
        ("metric", "optimization.start", {**SEARCH, "optimization_target": "sharp"}),
        ("expression", "optimization.start", {**SEARCH, "optimization_target": "sharpe +"}),
        ("condition", "optimization.start", {**SEARCH, "conditions": ["fast_period < "]}),
        ("constraint", "optimization.start", {**SEARCH, "constraints": ["n_trades > 3"]}),
        (
            "grid",
            "optimization.start",
            {
                **SEARCH,
                "method": "grid",
                "param_ranges": {
                    "fast_period": {"min": 2, "max": 100},
                    "slow_period": {"min": 5, "max": 300},
                    "signal_threshold": {"min": 0.0, "max": 0.1, "step": 0.001},
                },
            },
        ),
        ("no-symbol", "optimization.start", {"strategy_id": RULE}),
        ("rule", "strategy.create", {"id": "bad", "code": "fast = Int(5, 2, 60)\nenter_long(close >)\n"}),
        ("rule-name", "strategy.create", {"id": "bad", "code": "enter_long(closs > 1)\nexit_long(close < 1)\n"}),
        ("rule-taken", "strategy.create", {"id": "mine", "code": "enter_long(close > 1)\nexit_long(close < 1)\n"}),
        ("rule-builtin", "strategy.delete", {"id": RULE}),
        ("strategy-get", "strategy.get", {"id": "nope"}),
        ("bars", "data.import", {"symbol": "BAD/USDT", "timeframe": "1d", "bars": [[0, 1.0, 0.5, 2.0, 1.0, 1.0]]}),
        ("cron", "schedule.create", {"schedule_id": "s", "search": SEARCH, "cron": "0 3 * * 99"}),
        ("every", "schedule.create", {"schedule_id": "s", "search": SEARCH}),
        (
            "schedule-search",
            "schedule.create",
            {"schedule_id": "s", "search": {**SEARCH, "symbol": "X"}, "every": "1d"},
        ),
        ("walkforward", "walkforward.start", {**SEARCH, "train_bars": 4000, "test_bars": 10}),
        ("session", "session.plan", {"symbols": [GOLD], "strategies": ["nope"], "size": 3}),
        ("replay", "verdict.replay", {}),
        ("approve", "strategy.approve", {"strategy_id": RULE}),
        ("since", "audit.list", {"since": "soon"}),
        ("schema", "schema.get", {"type": "pong"}),
    ):
        talk.raw(f"values-{name}", _body(type, data, id=f"v-{name}"))


def _states(talk: Talk) -> None:
    """What is not there, what is not so, and ids that were used before."""
    gone = "0" * 64
    for name, type, data in (
        ("backtest", "backtest.status", {"task_id": "bt-0"}),
        ("search", "optimization.status", {"optimization_id": "opt-0"}),
        ("session", "session.status", {"session_id": "session_0"}),
        ("walkforward", "walkforward.status", {"walkforward_id": "wf-0"}),
        ("verdict", "verdict.get", {"verdict_id": "vd-0"}),
        ("replay", "replay.status", {"task_id": "re-0"}),
        ("package", "package.get", {"package_id": gone}),
        ("revoke", "package.revoke", {"package_id": gone}),
        ("ack", "package.ack", {"package_id": gone}),
        ("latest", "package.latest", {"symbol": "NONE/USDT"}),
        ("report", "report.get", {"report_id": "rp-0"}),
        ("task", "task.cancel", {"task_id": "xx-0"}),
        ("logs", "task.logs", {"task_id": "xx-0"}),
        ("schedule", "schedule.delete", {"schedule_id": "none"}),
        ("export", "optimization.export", {"optimization_id": "opt-0"}),
        ("compare", "optimization.compare", {"a": "opt-0", "b": "opt-1"}),
    ):
        talk.raw(f"states-{name}", _body(type, data, id=f"s-{name}"))
    rule = {"id": "once", "code": "enter_long(close > 1)\nexit_long(close < 1)\n"}
    first = talk.raw("states-once", _body("strategy.create", rule, id="once"))
    again = talk.raw("states-once-again", _body("strategy.create", rule, id="once"))
    assert first == again, "the stored reply is sent again"
    talk.raw("states-id-used", _body("strategy.create", {**rule, "id": "twice"}, id="once"))
    talk.raw("states-id-used-type", _body("strategy.delete", {"id": "once"}, id="once"))


def refuse_late(talk: Talk, search: str) -> None:
    """What is refused of a completed search and while much is asked at once."""
    for name, type, data in (
        ("resume", "optimization.resume", {"optimization_id": search}),
        ("cancel", "optimization.cancel", {"optimization_id": search}),
        ("wrong-kind", "backtest.status", {"task_id": search}),
        ("front", "optimization.results", {"optimization_id": search, "front": True}),
        ("sort", "optimization.results", {"optimization_id": search, "sort": "sharp"}),
        (
            "analyze",
            "optimization.analyze",
            {"optimization_id": search, "what": ["heat_map"], "x": "nope", "y": "fast_period"},
        ),
        ("export-version", "optimization.export", {"optimization_id": search, "version": "0" * 64}),
        ("other-strategy", "strategy.approve", {"strategy_id": "mine", "optimization_id": search}),
    ):
        talk.raw(f"late-{name}", _body(type, data, id=f"l-{name}"))
    long = {
        **SEARCH,
        "param_ranges": {**WIDE, "signal_threshold": {"min": 0.0, "max": 0.02}},
        "method": "random",
        "max_iterations": 300_000,
    }
    begun = [talk.quietly("optimization.start", {**long, "seed": seed})["optimization_id"] for seed in range(3)]
    talk.raw("late-tasks-per-user", _body("backtest.start", SEARCH, id="l-tasks"))
    talk.ended("optimization.status", {"optimization_id": begun[0]}, until=("running",))
    talk.raw("late-approve", _body("strategy.approve", {"strategy_id": RULE, "optimization_id": begun[0]}, id="l-run"))
    for each in begun:
        talk.quietly("optimization.cancel", {"optimization_id": each})
        talk.ended("optimization.status", {"optimization_id": each})
