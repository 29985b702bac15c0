"""What a task says while it runs: that it compiles a rule which this machine has not seen."""

from __future__ import annotations

import json
import secrets
from typing import Any

import zmq

from journeys.daemon import DaemonProcess, Dealer, wait_until

CODE = """fast = Int(5, 2, 60)
slow = Int(20, 5, 240)
require(fast < slow)
enter_long(crossed_above(sma(close, fast), sma(close, slow)) and close > {tiny})
exit_long(crossed_below(sma(close, fast), sma(close, slow)))
"""
COMPILING = "compiling the rule never_seen 1.0: a few seconds, once on this machine"


def test_a_rule_never_seen_is_said_to_be_compiled(
    daemon: DaemonProcess, dealer: Dealer, context: zmq.Context[Any]
) -> None:
    tiny = secrets.randbelow(2**40) / 2**60  # a constant of the compiled condition makes it a new one
    dealer.data("strategy.create", {"id": "never_seen", "code": CODE.format(tiny=tiny)})
    events = context.socket(zmq.SUB)
    events.setsockopt(zmq.LINGER, 0)
    with events:
        events.subscribe("task/")
        events.connect(daemon.doors["events"])
        said, logs = searched(dealer, events)
        assert COMPILING in logs
        assert said == {COMPILING}
        said, logs = searched(dealer, events)
        assert COMPILING not in logs
        assert said == set()


def searched(dealer: Dealer, events: zmq.Socket[bytes]) -> tuple[set[str], list[str]]:
    """A search of the rule: what its progress events said it was doing, and its log."""
    request = {"symbol": "PLANTED/USDT", "strategy_id": "never_seen", "optimization_target": "sharpe", "method": "grid"}
    ranges = {"fast": {"min": 2, "max": 20}, "slow": {"min": 21, "max": 60}}
    task_id = dealer.data("optimization.start", {**request, "param_ranges": ranges})["optimization_id"]
    ended = dealer.until_done("optimization.status", {"optimization_id": task_id})
    assert ended["status"] == "completed", ended
    doing: set[str] = set()

    def done() -> bool:
        assert events.poll(10_000), "the task's end was not told"
        topic, frame = events.recv_multipart()[:2]
        data = json.loads(frame)["data"]
        if topic.startswith(f"task/{task_id}/progress/".encode()) and data.get("doing"):
            doing.add(data["doing"])
        return topic == f"task/{task_id}/done/".encode()

    wait_until(done, 60.0, lambda: "no end")
    return doing, [line["message"] for line in dealer.data("task.logs", {"task_id": task_id})["lines"]]
