"""Layouts: every sample of the guide's table is read right, or refused with an option that reads it right."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.market.layouts.layout_samples import HOURS, Sample, csv, form, local, made, plain
from domain.market.layouts.layout_table import all_samples
from tunesmith.domain.market.bars import COLUMNS
from tunesmith.domain.market.layouts.reading import Reading
from tunesmith.errors import Invalid
from tunesmith.storage.market.market_folder import MarketFolder


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    return all_samples(tmp_path_factory.mktemp("samples"))


def reading_of(options: str) -> Reading:
    """What the options of the command say."""
    words = shlex.split(options)
    given: dict[str, Any] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        given[name.removeprefix("--").replace("-", "_")] = value
    return Reading(**given)


def bring(folder: Path, sample: Sample, options: str) -> str:
    """Import the sample with the options, compare what is stored with its candles; what was said of it."""
    file = folder / sample.file
    file.write_bytes(sample.content)
    store = MarketFolder(folder / "market")
    report = store.import_file(file, symbol=sample.symbol, timeframe=sample.timeframe, reading=reading_of(options))
    bars = store.load("local", sample.symbol, sample.timeframe)
    assert bars.timestamp.tolist() == [candle.ms for candle in sample.candles]
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(bars, name), [getattr(c, name) for c in sample.candles], rtol=1e-12)
    return "; ".join(report.warnings)


def test_every_layout_is_read_right_or_refused_with_what_helps(samples: dict[str, Sample], tmp_path: Path) -> None:
    wrong = {}
    for i, (name, sample) in enumerate(samples.items()):
        folder = tmp_path / str(i)
        folder.mkdir()
        try:
            _hold(folder, sample)
        except (Exception, pytest.fail.Exception) as error:
            wrong[name] = f"{type(error).__name__} {error}"
    assert wrong == {}, "\n\n".join(f"{name}: {error}" for name, error in wrong.items())


def _hold(folder: Path, sample: Sample) -> None:
    if sample.needs is None:
        said = bring(folder, sample, sample.said)
        assert ("no column of the volume" in said) is not sample.volume, said
        return
    with pytest.raises(Invalid) as refused:
        bring(folder, sample, sample.said)
    message = refused.value.message
    assert message.startswith(sample.file)
    assert sample.says in message
    assert MarketFolder(folder / "market").list() == []
    if sample.needs:
        assert "Its first rows:" in message
        assert sample.needs in list(_commands(message)), message
        bring(folder, sample, sample.needs)


def test_the_commands_that_are_named_keep_what_was_said(tmp_path: Path) -> None:
    early = made(8, datetime(2024, 2, 1, tzinfo=UTC))
    zoned = [candle._replace(time=candle.time - timedelta(hours=8)) for candle in early]
    sample = Sample("a.csv", plain(early, form("%d/%m/%Y %H:%M")), zoned)
    with pytest.raises(Invalid) as refused:
        bring(tmp_path, sample, "--timezone Asia/Shanghai")
    first, second = _commands(refused.value.message)
    assert first == "--timezone Asia/Shanghai --time-format '%d/%m/%Y %H:%M'"
    assert second == "--timezone Asia/Shanghai --time-format '%m/%d/%Y %H:%M'"
    bring(tmp_path, sample, first)


SPRING = made(begin=datetime(2024, 3, 30, 12, tzinfo=UTC))
FOURS = made(begin=datetime(2024, 10, 24, tzinfo=UTC), step=timedelta(hours=4))
NEW_YORK = [made(6, datetime(2024, 3, day, 22 - (day > 9), tzinfo=UTC), timedelta(hours=4)) for day in (7, 10, 11)]


def test_a_zone_whose_clocks_change_on_another_day_is_refused(tmp_path: Path) -> None:
    sample = Sample("b.csv", plain(SPRING, local("Europe/Berlin", "%Y-%m-%d %H:%M")), SPRING)
    with pytest.raises(Invalid, match="when clocks change elsewhere and not in America") as no:
        bring(tmp_path, sample, "--timezone America/New_York")
    assert list(_commands(no.value.message)) == ["--timezone Europe/Berlin", "--timezone UTC"]
    bring(tmp_path, sample, "--timezone Europe/Berlin")


def test_an_hour_that_a_table_has_once_is_the_one_that_keeps_the_bars_apart(tmp_path: Path) -> None:
    sample = Sample("b.csv", plain(FOURS, local("Europe/Berlin", "%Y-%m-%d %H:%M")), FOURS, timeframe="4h")
    bring(tmp_path, sample, "--timezone Europe/Berlin")


def test_long_bars_that_move_with_clocks_say_which_ones_would_do(tmp_path: Path) -> None:
    candles = [candle for day in NEW_YORK for candle in day]
    sample = Sample("f.csv", plain(candles, lambda c: c.ms), candles, timeframe="4h")
    with pytest.raises(Invalid, match="move with daylight saving: name the zone"):
        bring(tmp_path, sample, "")


def test_bars_that_a_column_says_are_open_are_refused_or_left_out(tmp_path: Path) -> None:
    file = tmp_path / "oanda.csv"
    rows = [(c.ms, *c[1:], c is not HOURS[-1]) for c in HOURS]
    file.write_bytes(csv(["time", "o", "h", "l", "c", "volume", "complete"], rows))
    store = MarketFolder(tmp_path / "market")
    with pytest.raises(Invalid, match="1 bars had not closed, first at row 59") as refused:
        store.import_file(file, symbol="A", timeframe="1h")
    assert list(_commands(refused.value.message)) == ["--drop-open"]
    report = store.import_file(file, symbol="A", timeframe="1h", reading=Reading(drop_open=True))
    assert (report.n_bars, report.n_dropped) == (59, 1)
    assert store.load("local", "A", "1h").timestamp[-1] == HOURS[-2].ms


def test_a_folder_that_is_meant_by_a_dot_names_the_venue_and_a_pipe_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kraken"
    folder.mkdir()
    (folder / "BTC_USDT-1h.csv").write_bytes(plain(HOURS, form("%Y-%m-%dT%H:%M:%SZ")))
    monkeypatch.chdir(folder)
    store = MarketFolder(tmp_path / "market")
    assert [each.venue for each in store.import_folder(Path()).imported] == ["kraken"]
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(Invalid, match="a pipe or a device; write what comes out of it to a file"):
        store.import_file(tmp_path / "pipe.csv", symbol="A", timeframe="1h")


def _commands(message: str) -> Iterator[str]:
    """The options of the commands that a refusal names."""
    for found in re.finditer(r"tunesmith data import \S+ \\\n +--symbol \S+ --timeframe \S+ \\\n +(.+)", message):
        yield found[1]


def test_the_guide_s_table_says_what_happens_to_each_layout(samples: dict[str, Sample]) -> None:
    guide = (Path(__file__).resolve().parents[4] / "service" / "docs" / "candles.md").read_text()
    rows = re.findall(r"^\| (.+) \| (.+) \|$", guide.partition("\n## Layouts\n")[2], re.MULTILINE)
    assert dict(rows) == {name: _happens(sample) for name, sample in samples.items()}


def _happens(sample: Sample) -> str:
    if sample.needs is None:
        return f"read with `{sample.said}`" if sample.said else "read"
    return f"refused; `{sample.needs}` reads it" if sample.needs else f"refused: {sample.says}"
