"""The alert rules: well-formed, each with a severity and a summary, about metrics that the daemon has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tunesmith import telemetry

FILE = Path(__file__).resolve().parents[1] / "configs" / "alerts.yaml"
RULES: list[dict[str, Any]] = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def names_in_metrics() -> set[str]:
    """What can be asked for by the types that /metrics declares, whether there are samples yet or not."""
    families = text_string_to_metric_families(telemetry.metrics_text().decode())
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ())}


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_asks_for_metrics_that_are_there(rule: dict[str, Any]) -> None:
    asked = set(re.findall(r"tunesmith_\w+", rule["expr"]))
    assert asked or rule["expr"].startswith("up{")
    assert asked <= names_in_metrics()
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")


def test_no_two_rules_have_one_name() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names) >= 15


def several(*series: tuple[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series]


FAILED = 'tunesmith_tasks_finished_total{{kind="{}", status="failed"}}'
REQUESTS = 'tunesmith_requests_total{{type="ping", code="{}"}}'
SECONDS = 'tunesmith_request_seconds_bucket{{type="ping", le="{}"}}'
CASES: dict[str, tuple[list[dict[str, str]], list[dict[str, str]]]] = {
    "TunesmithDown": (several(('up{job="tunesmith"}', "0x200")), several(('up{job="tunesmith"}', "1x200"))),
    "TunesmithNotReady": (several(("tunesmith_ready", "0x200")), several(("tunesmith_ready", "1x118 0 1x81"))),
    "TunesmithDatabaseDamaged": (
        several(("tunesmith_database_damaged", "1x200")), several(("tunesmith_database_damaged", "0x200"))
    ),
    "TunesmithDiskRefuses": (
        several(("tunesmith_database_refusing", "1x200")), several(("tunesmith_database_refusing", "0x200"))
    ),
    "TunesmithDiskFillsUp": (
        several(("tunesmith_disk_free_bytes", "5e9-2e7x200")), several(("tunesmith_disk_free_bytes", "5e10-1e6x200"))
    ),
    "TunesmithWritesFail": (
        several(("tunesmith_database_failures_total", "0x115 1x85")),
        several(("tunesmith_database_failures_total", "1x200")),
    ),
    "TunesmithBackupFailed": (
        several(("tunesmith_backup_failing", "1x200")), several(("tunesmith_backup_failing", "0x200"))
    ),
    "TunesmithBackupOld": (
        several(("tunesmith_backup_timestamp_seconds", "3600x800")),
        several(("tunesmith_backup_timestamp_seconds", "3600x360 200000x440")),
    ),
    "TunesmithEventsWait": (
        several(("tunesmith_events_unpublished", "3x200")), several(("tunesmith_events_unpublished", "0x118 2 0x81"))
    ),
    "TunesmithNoWorkers": (several(("tunesmith_workers", "0x200")), several(("tunesmith_workers", "2x200"))),
    "TunesmithWorkersDie": (
        several(("tunesmith_worker_deaths_total", "0x110 1 2 3 4 5 5x85")),
        several(("tunesmith_worker_deaths_total", "0x110 1 2 2x88")),
    ),
    # Two failures of each of three kinds, none of which had failed before; and five that are long ago.
    "TunesmithTasksFail": (
        several(*((FAILED.format(kind), "0x100 1 2 2x98") for kind in ("backtest", "optimization", "verdict"))),
        several((FAILED.format("backtest"), "0 5 5x198"), (FAILED.format("verdict"), "0x100 1x100")),
    ),
    "TunesmithErrors": (
        several((REQUESTS.format("internal"), "0+60x200")), several((REQUESTS.format("internal"), "0x110 3x90"))
    ),
    "TunesmithBusy": (
        several((REQUESTS.format("busy"), "0+60x200"), (REQUESTS.format("ok"), "0+60x200")),
        several((REQUESTS.format("busy"), "0+6x200"), (REQUESTS.format("ok"), "0+60x200")),
    ),
    "TunesmithSlow": (
        several(*((SECONDS.format(le), f"0+{n}x200") for le, n in (("0.25", 10), ("0.5", 60), ("+Inf", 60)))),
        several(*((SECONDS.format(le), f"0+{n}x200") for le, n in (("0.25", 60), ("0.5", 60), ("+Inf", 60)))),
    ),
    "TunesmithRepliesDropped": (
        several(('tunesmith_replies_dropped_total{door="requests"}', "0x110 300x90")),
        several(('tunesmith_replies_dropped_total{door="requests"}', "0+1x200")),
    ),
    "TunesmithQueueGrows": (
        several(("tunesmith_queue_depth", "1000+10x200")), several(("tunesmith_queue_depth", "5000-10x200"))
    ),
    "TunesmithClockJumped": (
        several(("tunesmith_clock_jumps_total", "0x115 1x85")), several(("tunesmith_clock_jumps_total", "1x200"))
    ),
}  # fmt: skip
"""Of each rule, values in `INTERVALS` with which it fires at the time there, and values with which it does not."""

INTERVALS = {"TunesmithBackupOld": ("5m", "60h")}
IN_MINUTES = ("1m", "2h")


def test_each_rule_fires_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on the PATH (Debian: prometheus)")
    assert CASES.keys() == {rule["alert"] for rule in RULES}
    tests = []
    for rule in RULES:
        fired = {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
        for series, expected in zip(CASES[rule["alert"]], ([fired], []), strict=True):
            known = [{**one, "exp_labels": {**one["exp_labels"], **labels_of(rule, series)}} for one in expected]
            interval, time = INTERVALS.get(rule["alert"], IN_MINUTES)
            asked = {"eval_time": time, "alertname": rule["alert"], "exp_alerts": known}
            tests.append({"interval": interval, "input_series": series, "alert_rule_test": [asked]})
    file = tmp_path / "alerts_test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def labels_of(rule: dict[str, Any], series: list[dict[str, str]]) -> dict[str, str]:
    """The labels that an alert has of its series: all of them, unless its rule sums them away."""
    if "sum" in rule["expr"]:
        return {}
    return dict(re.findall(r'(\w+)="([^"]*)"', series[0]["series"]))
