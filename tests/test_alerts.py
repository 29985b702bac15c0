"""The alert rules: well-formed, each with a severity and a summary, about metrics that the daemon has."""

from __future__ import annotations

import re
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
