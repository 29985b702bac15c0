"""Frames: every file format and every way to write a time, and what is said of those that are none."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tunesmith.domain.market import candle_columns
from tunesmith.domain.market.candle_columns import COLUMNS
from tunesmith.domain.market.layouts.file_formats import read_sheet
from tunesmith.errors import Invalid

START = 1_704_067_200_000
STAMPS = START + 3_600_000 * np.arange(4)


def columns_of_frame(table: pd.DataFrame, timeframe: str = "1h") -> tuple[Any, dict[str, Any]]:
    return candle_columns.columns_of_frame(table, "BTC/USDT", timeframe)


def columns_of_file(path: Path) -> tuple[Any, dict[str, Any]]:
    return candle_columns.columns_of_file(path, "BTC/USDT", "1h")


def frame(times: Any = None, name: str = "timestamp") -> pd.DataFrame:
    prices = {column: [1.0, 2.0, 3.0, 4.0] for column in COLUMNS}
    return pd.DataFrame({name: pd.to_datetime(STAMPS, unit="ms", utc=True) if times is None else times, **prices})


@pytest.mark.parametrize("name", ["timestamp", "date", "Datetime", " TIME "])
def test_the_time_is_found_by_its_name(name: str) -> None:
    stamps, columns = columns_of_frame(frame(name=name))
    assert stamps.dtype == np.int64
    assert stamps.tolist() == STAMPS.tolist()
    assert list(columns) == list(COLUMNS)
    assert all(column.dtype == np.float64 for column in columns.values())


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(STAMPS, unit="ms"),
        pd.to_datetime(STAMPS, unit="ms").astype("datetime64[ns]"),
        pd.to_datetime(STAMPS, unit="ms", utc=True).astype("datetime64[s, UTC]"),
        pd.to_datetime(STAMPS, unit="ms", utc=True).tz_convert("America/New_York"),
        STAMPS // 1000,
        STAMPS / 1000,
        STAMPS,
        STAMPS.astype(float),
        STAMPS.astype(np.uint64),
        STAMPS * 1_000,
        STAMPS * 1_000_000,
        [f"2024-01-01T0{hour}:00:00Z" for hour in range(4)],
        [f"2024-01-01 0{hour}:00:00" for hour in range(4)],
        [f"2024-01-01T0{hour + 2}:00:00.000+02:00" for hour in range(4)],
        [pd.Timestamp("2024-01-01", tz="UTC").to_pydatetime() + pd.Timedelta(hours=h) for h in range(4)],
    ],
    ids=[
        "naive", "naive ns", "s", "zone", "epoch s", "epoch s float", "epoch ms", "epoch ms float", "epoch ms uint",
        "epoch us", "epoch ns", "iso", "iso naive", "iso offset", "objects",
    ],
)  # fmt: skip
def test_times_are_utc_milliseconds_however_they_are_written(times: Any) -> None:
    assert columns_of_frame(frame(times))[0].tolist() == STAMPS.tolist()


def test_days_alone_are_times() -> None:
    days = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
    assert columns_of_frame(frame(days))[0].tolist() == (START + 86_400_000 * np.arange(4)).tolist()


def test_an_index_of_dates_is_the_time() -> None:
    indexed = frame().set_index("timestamp")
    assert columns_of_frame(indexed)[0].tolist() == STAMPS.tolist()
    assert columns_of_frame(indexed.tz_convert(None))[0].tolist() == STAMPS.tolist()


def test_numbers_may_be_text_whole_or_missing() -> None:
    table = frame()
    table["open"] = ["1", "2.5", "1e3", "4"]
    table["close"] = pd.array([1, 2, None, 4], dtype="Int64")
    table["volume"] = np.array([1, 2, 3, 4], np.int32)
    columns = columns_of_frame(table)[1]
    assert columns["open"].tolist() == [1.0, 2.5, 1000.0, 4.0]
    assert columns["volume"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert np.isnan(columns["close"]).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="timestamp"), "no column of times"),
        (lambda t: t.drop(columns=["open", "volume"]), "columns are missing: open;"),
        (lambda t: t.rename(columns={"close": "Closing"}), "columns are missing: close (is it 'closing'?)"),
        (lambda t: t.assign(OPEN=1.0), "the column open is there twice"),
        (lambda t: t.assign(high=["1", "2", "x", "4"]), "row 2: 'x' is no number (high)"),
        (lambda t: t.assign(high=True), "the column high holds no numbers"),
        (lambda t: t.assign(high=t["timestamp"]), "the column high holds no numbers"),
        (lambda t: t.assign(timestamp=["2024-01-01", "yesterday", "", ""]), "row 1: 'yesterday' is no time"),
        (lambda t: t.assign(timestamp=["01/02/2024"] * 4), "'01/02/2024' can be read in several ways"),
        (lambda t: t.assign(timestamp=[START, np.nan, START, np.nan]), "2 bars have no time, first at row 1"),
        (lambda t: t.assign(timestamp=[START, np.inf, 1, 2]), "a time is infinite"),
        (lambda t: t.assign(timestamp=[START // 1000, START, START, START]), "of different units"),
        (lambda t: t.assign(timestamp=[True, False, True, False]), "is no time"),
    ],
)
def test_what_cannot_be_bars_is_said(change: Any, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        columns_of_frame(change(frame()))
    assert message in refused.value.message


def test_an_empty_table_gives_empty_columns() -> None:
    stamps, columns = columns_of_frame(frame().iloc[:0])
    assert len(stamps) == 0
    assert all(len(column) == 0 for column in columns.values())


def write(path: Path, table: pd.DataFrame) -> Path:
    if path.name.endswith((".csv", ".csv.gz")):
        table.to_csv(path, index=False)
    elif path.suffix in (".parquet", ".pq"):
        table.to_parquet(path)
    else:
        table.to_feather(path)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "a.parquet", "a.pq", "a.feather", "a.arrow"])
@pytest.mark.parametrize("times", [None, STAMPS], ids=["dates", "epoch"])
def test_every_format_gives_the_same_columns(tmp_path: Path, name: str, times: Any) -> None:
    path = tmp_path / name
    if name == "a.CSV":
        write(tmp_path / "a.csv", frame(times)).rename(path)
    else:
        write(path, frame(times))
    stamps, columns = columns_of_file(path)
    assert stamps.tolist() == STAMPS.tolist()
    assert columns["close"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_freqtrade_s_feather_layout(tmp_path: Path) -> None:
    table = frame(name="date")
    table["date"] = table["date"].astype("datetime64[ms, UTC]")
    stamps, _ = columns_of_file(write(tmp_path / "BTC_USDT-1h.feather", table))
    assert stamps.tolist() == STAMPS.tolist()


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_feather_s_compressions(tmp_path: Path, compression: str) -> None:
    frame().to_feather(tmp_path / "a.feather", compression=compression)
    assert read_sheet(tmp_path / "a.feather").n_rows == 4


GARBAGE = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv.gz", b"", "the file is empty"),
        ("a.parquet", b"", "the file is empty"),
        ("a.csv", b"\n\n", "is no CSV file"),
        ("a.csv", GARBAGE, "is no CSV file"),
        ("a.csv", b"a,b\n1,2,3\n4,5\n6,7,8,9\n", "is no CSV file"),
        ("a.csv.gz", GARBAGE, "as CSV"),
        ("a.csv.gz", gzip.compress(b"timestamp,open\n1,2\n" * 1000, mtime=0)[:60], "CSV"),
        ("a.parquet", GARBAGE, "Parquet"),
        ("a.parquet", b"PAR1" + GARBAGE + b"PAR1", "Parquet"),
        ("a.feather", GARBAGE, "Feather"),
        ("a.feather", b"ARROW1" + GARBAGE, "Feather"),
        ("a.xlsx", GARBAGE, "is no Excel file with a table"),
        ("a", GARBAGE, "expected a file such as .csv"),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid) as refused:
        columns_of_file(tmp_path / name)
    assert message in refused.value.message
    assert refused.value.message.startswith(f"{name}: ")


def test_a_damaged_compression_is_said(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(b"timestamp,open,high,low,close,volume\n" + b"1,2,3,4,5,6\n" * 5000))
    content[40:60] = b"\xff" * 20
    (tmp_path / "a.csv.gz").write_bytes(content)
    with pytest.raises(Invalid, match="CSV"):
        read_sheet(tmp_path / "a.csv.gz")


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet", "gone.feather"])
def test_a_file_that_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="No such file"):
        read_sheet(tmp_path / name)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(Invalid, match="cannot be read as CSV"):
        read_sheet(tmp_path / "a.csv")


def test_what_is_odd_about_a_frame_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="no column of the volume"):
        assert columns_of_frame(frame().drop(columns="volume"))[1]["volume"].tolist() == [0.0] * 4


LINES = [f"2024-01-20T{hour:02d}:00:00Z,{100 + hour},{103 + hour},{99 + hour},{101 + hour},5.5" for hour in range(8)]
HEADER = "timestamp,open,high,low,close,volume"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, LINES[0] + ",9", *LINES[1:]], "does not match length of data"),
        ([HEADER, *LINES[:3], LINES[3] + ",9", *LINES[4:]], "Expected 6 fields in line 5, saw 7"),
        ([HEADER, *[line.replace(".", ",") for line in LINES]], "the header has 6 fields, the rows have 7"),
        ([HEADER, *[f"{line},,,9" for line in LINES]], "a line of 6 fields is followed by rows of 9"),
        ([HEADER, *[f"{line}," for line in LINES * 40], f"{LINES[0]},8"], "row 320 has a field more than there are"),
        ([HEADER, *LINES, HEADER], "is no number"),
    ],
)  # fmt: skip
def test_rows_that_the_header_does_not_fit_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(Invalid, match=message):
        columns_of_file(tmp_path / "a.csv")


@pytest.mark.parametrize(("name", "package"), [("a.xlsx", "python_calamine"), ("a.h5", "tables")])
def test_a_package_that_is_missing_is_named_by_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    (tmp_path / name).write_bytes(b"something")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Invalid, match=r"pip install 'tunesmith\[files\]'"):
        read_sheet(tmp_path / name)
