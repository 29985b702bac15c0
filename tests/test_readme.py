"""The README is true: its commands are CI's, its files are there, its code runs or parses."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from tunesmith.compute.rules.strategy import Strategy

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_readmes_test_command() -> None:
    [command] = [block.strip() for block in blocks("sh") if "pytest" in block]
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_files_that_it_names_are_there() -> None:
    named = re.findall(r"`((?:service|tests|configs|docker)/[\w./-]+)`", README)
    inside = re.findall(r"`((?:\w+/)+\w*(?:\.py)?|(?:app|routes)\.py)`", README)
    named += [f"service/tunesmith/{path}" for path in inside
              if not path.startswith(("service/", "tests/", "configs/", "docker/", "pkg/"))]  # fmt: skip
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_its_strategy_parses_and_its_python_is_python() -> None:
    rules = [block for block in blocks("python") if "enter_long(" in block and "import" not in block]
    [rule] = [Strategy.parse(block, id="readme") for block in rules]
    assert [p.name for p in rule.parameters] == ["fast_period", "slow_period", "signal_threshold"]
    for block in blocks("python"):
        ast.parse(block if "async with" not in block else f"async def f():\n{indent(block)}")


def test_its_path_dependent_strategy_trades() -> None:
    [module] = [block for block in blocks("python") if "Stepped(" in block]
    names: dict[str, Any] = {"__name__": "readme_dca"}
    exec(compile(module, "readme", "exec"), names)
    assert (names["STRATEGY"].id, names["STRATEGY"].max_entries) == ("dca_v1.0", 5)


def indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
