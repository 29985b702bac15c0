"""What people write for the aim of a search, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from tunesmith.cli.search.target_text import is_minimized, names_of, parse_settings, parse_targets, read_stages
from tunesmith.errors import Invalid

NAMES = ("population", "acquisition", "shrink")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), None),
        (("sharpe",), "sharpe"),
        (("profit_factor * sharpe",), "profit_factor * sharpe"),
        (("freqtrade:CalmarHyperOptLoss",), "freqtrade:CalmarHyperOptLoss"),
        (('{"sharpe": 0.5, "max_drawdown": -0.2}',), {"sharpe": 0.5, "max_drawdown": -0.2}),
        (("sharpe", "max_drawdown"), ["sharpe", "max_drawdown"]),
    ],
)
def test_one_target_stands_alone_and_several_are_a_list(texts: tuple[str, ...], expected: Any) -> None:
    assert parse_targets(texts) == expected


def test_weights_that_are_not_json_are_refused_with_an_example() -> None:
    with pytest.raises(typer.BadParameter, match=r'weights look like .*"sharpe": 0.5'):
        parse_targets(["{sharpe: 1}"])


def test_settings_are_numbers_where_they_look_like_it() -> None:
    texts = ["population=50", "acquisition=ei", "shrink = 0.5"]
    assert parse_settings(texts, "--option", "every=10", NAMES) == {
        "population": 50,
        "acquisition": "ei",
        "shrink": 0.5,
    }


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["patience"], "such as patience=3"),
        (["shrink=1", "shrink=2"], "twice"),
        (["shrnk=1"], "did you mean shrink"),
        (["zzz=1"], "there are population, acquisition, shrink"),
    ],
)
def test_settings_that_are_none_are_refused(texts: list[str], says: str) -> None:
    with pytest.raises(typer.BadParameter, match=says):
        parse_settings(texts, "--stop", "patience=3", NAMES)


@pytest.mark.parametrize(
    ("target", "names", "minimized"),
    [
        ("sharpe", ["sharpe"], False),
        ("drawdown", ["max_drawdown"], True),
        ("freqtrade:CalmarHyperOptLoss", ["freqtrade:CalmarHyperOptLoss"], True),
        ("sharpe - max_drawdown", ["sharpe - max_drawdown"], False),
        ({"sharpe": 0.5, "max_drawdown": -2.0}, ["0.5 sharpe + -2 max_drawdown"], False),
        (["max_drawdown", {"sharpe": 1.0}], ["max_drawdown", "1 sharpe"], True),
    ],
)
def test_targets_have_names_and_a_direction(target: Any, names: list[str], minimized: bool) -> None:
    assert names_of(target) == names
    assert is_minimized(target) is minimized


def test_stages_are_read_from_toml_and_json_with_ranges_as_text(tmp_path: Path) -> None:
    toml = tmp_path / "stages.toml"
    toml.write_text('[[stages]]\nname = "averages"\n[stages.params]\nfast = "5:40:5"\nslow = {min = 50, max = 90}\n')
    json = tmp_path / "stages.json"
    json.write_text('[{"name": "averages", "params": {"fast": "5:40:5", "slow": {"min": 50, "max": 90}}}]')
    params = {"fast": {"min": 5, "max": 40, "step": 5}, "slow": {"min": 50, "max": 90}}
    assert read_stages(toml) == read_stages(json) == [{"name": "averages", "params": params}]


@pytest.mark.parametrize(
    ("text", "says"),
    [("stages = 3", "it has no stages"), ("name = 1", "it has no stages"), ("name = ", "Invalid value")],
)
def test_a_file_without_stages_is_refused_by_its_name(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(Invalid, match=f"wrong.toml: {says}"):
        read_stages(file)
    with pytest.raises(Invalid, match=r"cannot read .*absent.toml: No such file"):
        read_stages(tmp_path / "absent.toml")
