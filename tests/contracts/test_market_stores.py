"""What every store of candles does, ours and one from outside: imports of every kind, merging, finding, resampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contracts.market_shelf import Shelf, shelf
from storage.candle_tables import HOUR, NAMES, START, bring, table, without, write
from tunesmith import config
from tunesmith.domain.market.bars import COLUMNS, Bars
from tunesmith.domain.market.calendars import IRREGULAR, calendar_named
from tunesmith.domain.market.daily_closes import daily_closes
from tunesmith.domain.market.layouts.file_names import named_market
from tunesmith.domain.market.market_marks import mark_of, packed
from tunesmith.errors import Conflict, Invalid, NotFound, TunesmithError
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.market.market_schemes import MARKETS, open_market, register_market
from tunesmith.storage.market.market_store import MarketStore
from tunesmith.workers.chunks.market_chunks import import_bars, prepare
from tunesmith.workers.chunks.payloads import ImportBars, Prepare

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(params=["folder", "shelf"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MarketStore]:
    if request.param == "folder":
        yield open_market(str(tmp_path / "market"))
        return
    with shelf() as address:
        yield open_market(address)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.feather"])
def test_every_format_is_imported_alike(store: MarketStore, tmp_path: Path, name: str) -> None:
    report = store.import_file(write(tmp_path / name, table()), **NAMES)
    bars = store.load("local", "BTC/USDT", "1h")
    expected = Bars.from_frame(table(), **NAMES)
    assert report.data_hash == bars.data_hash == expected.data_hash
    assert (report.n_bars, report.n_new, report.gaps) == (48, 48, [])
    assert (report.start, report.end) == ("2024-01-01T00:00:00.000Z", "2024-01-03T00:00:00.000Z")
    (series,) = store.list()
    assert (series.venue, series.symbol, series.timeframe) == ("local", "BTC/USDT", "1h")
    assert (series.start_ms, series.end_ms, series.n_bars) == (START, START + 48 * HOUR, 48)


def test_rows_are_imported_as_files_are(store: MarketStore) -> None:
    frame = table()
    stamps = [START + HOUR * hour for hour in range(48)]
    rows = list(zip(stamps, *(frame[name].tolist() for name in COLUMNS), strict=True))
    report = store.import_rows(rows, **NAMES, venue="binance")
    assert report.data_hash == Bars.from_frame(frame, **NAMES, venue="binance").data_hash
    with pytest.raises(Invalid) as refused:
        store.import_rows([(10**30, *rows[0][1:])], **NAMES)
    assert refused.value.path == "/data/bars"
    with pytest.raises(Invalid, match="before 1800 or after 2262"):
        store.import_rows([(10**16, *rows[0][1:])], **NAMES)


BAD: dict[str, tuple[Change, list[str]]] = {
    "out of order": (lambda f: f.iloc[[0, 2, 1, 3, 4]], ["1 bars are out of order, first at row 2"]),
    "repeated": (
        lambda f: pd.concat([f[:3], f[2:]]),
        ["1 bars repeat the time before them", "1 have the same bar again and 0 another one"],
    ),
    "repeated with other values": (
        lambda f: pd.concat([f[:3], f[2:3].assign(volume=9.0), f[3:]]),
        ["1 bars repeat the time before them", "0 have the same bar again and 1 another one"],
    ),
    "repeated later": (lambda f: pd.concat([f, f[:2]]), ["out of order", "2 have the same bar again"]),
    "high below close": (lambda f: f.assign(high=f["low"]), ["48 bars have a high below their open or close"]),
    "low above open": (lambda f: f.assign(low=f["high"]), ["48 bars have a low above their open or close"]),
    "zero price": (lambda f: f.assign(low=0.0), ["48 bars have a price of zero or below, first at row 0"]),
    "negative price": (lambda f: f.assign(low=-1.0), ["48 bars have a price of zero or below"]),
    "missing price": (lambda f: f.assign(close=np.nan), ["48 bars have a missing or infinite price"]),
    "negative volume": (lambda f: f.assign(volume=-1.0), ["48 bars have a missing, infinite or negative volume"]),
    "no rows": (lambda f: f[:0], ["there are no bars"]),
    "another timeframe": (
        lambda f: f.assign(date=f["date"].iloc[0] + pd.to_timedelta(5 * np.arange(48), "min")),
        ["the bars are 5m apart, not 1h"],
    ),
    "a longer timeframe": (
        lambda f: f.assign(date=f["date"].iloc[0] + pd.to_timedelta(np.arange(48), "D")),
        ["the bars are 1d apart, not 1h"],
    ),
    "off the grid": (
        lambda f: f.assign(date=[*f["date"][:-1], f["date"].iloc[-1] + pd.Timedelta("7min")]),
        ["1 bars are not a whole number of 1h after the first, first at row 47"],
    ),
    "before 1800": (lambda f: f.assign(date=f["date"] - pd.Timedelta(days=90_000)), ["a time before 1800"]),
    "several things": (
        lambda f: f.assign(low=[0.0, *f["low"][1:]], volume=-1.0).iloc[[0, 2, 1]],
        ["out of order", "price of zero", "negative volume"],
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_bars_are_refused_with_every_problem_and_nothing_is_stored(store: MarketStore, kind: str) -> None:
    change, problems = BAD[kind]
    with pytest.raises(Invalid) as refused:
        bring(store, change(table()))
    error = refused.value
    assert error.message.startswith("import.parquet: ")
    assert len(error.errors) >= len(problems)
    assert all(any(problem in found.message for found in error.errors) for problem in problems)
    assert store.list() == []


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_import_leaves_what_is_stored(store: MarketStore, kind: str) -> None:
    before = bring(store, table())
    with pytest.raises(Invalid):
        bring(store, BAD[kind][0](table()), replace=True)
    assert store.load("local", "BTC/USDT", "1h").data_hash == before.data_hash


def test_gaps_are_reported_and_not_refused(store: MarketStore) -> None:
    report = bring(store, without(table(), 5, 20, 21, 22))
    assert report.n_bars == 44
    assert report.gaps == [
        {"from": "2024-01-01T05:00:00.000Z", "to": "2024-01-01T05:00:00.000Z", "missing": 1},
        {"from": "2024-01-01T20:00:00.000Z", "to": "2024-01-01T22:00:00.000Z", "missing": 3},
    ]
    (series,) = store.list()
    assert (series.n_gaps, series.gaps) == (2, report.gaps)


def test_a_manifest_lists_no_more_than_the_first_gaps(store: MarketStore) -> None:
    report = bring(store, without(table(range(900)), *(row for row in range(900) if row % 4 == 3)))
    assert len(report.gaps) == 224
    (series,) = store.list()
    assert (series.n_gaps, series.gaps) == (224, report.gaps[:100])


def test_a_later_range_joins_what_is_stored(store: MarketStore) -> None:
    bring(store, table(range(30)))
    report = bring(store, table(range(20, 48)))
    assert (report.n_bars, report.n_new, report.gaps) == (48, 18, [])
    assert store.load("local", "BTC/USDT", "1h").data_hash == Bars.from_frame(table(), **NAMES).data_hash


def test_an_earlier_range_fills_a_gap(store: MarketStore) -> None:
    bring(store, without(table(), *range(10, 20)))
    report = bring(store, table(range(10, 20)))
    assert (report.n_bars, report.n_new, report.gaps) == (48, 10, [])


def test_the_same_file_again_changes_nothing(store: MarketStore) -> None:
    first = bring(store, table())
    before = store.list()
    again = bring(store, table())
    assert (again.n_new, again.data_hash) == (0, first.data_hash)
    assert store.list() == before


def test_other_values_for_stored_bars_are_a_conflict_unless_they_replace(store: MarketStore) -> None:
    before = bring(store, table(range(30)))
    changed = table(range(20, 48))
    changed.loc[0, "close"] = changed.loc[0, "high"]
    with pytest.raises(Conflict) as refused:
        bring(store, changed)
    assert "1 bars differ from what is stored (2024-01-01T20:00:00.000Z close" in refused.value.message
    assert "with replace" in refused.value.message
    assert store.list()[0].data_hash == before.data_hash
    report = bring(store, changed, replace=True)
    assert (report.n_bars, report.n_new) == (48, 19)
    assert store.load("local", "BTC/USDT", "1h").close[20] == changed["high"][0]


def test_bars_that_do_not_align_with_the_stored_ones_are_refused(store: MarketStore) -> None:
    bring(store, table(range(30)))
    late = table(range(30, 48)).assign(date=lambda f: f["date"] + pd.Timedelta("30min"))
    with pytest.raises(Invalid, match="18 bars are not a whole number of 1h after the first"):
        bring(store, late)


def test_one_bar_is_enough(store: MarketStore) -> None:
    assert bring(store, table(range(1))).n_bars == 1


FREQTRADE = {
    "BTC_USDT-1h.feather": ("BTC/USDT", "1h"),
    "futures/BTC_USDT_USDT-1h-futures.feather": ("BTC/USDT:USDT", "1h"),
    "ETH_BTC-1h.parquet": ("ETH/BTC", "1h"),
    "1000PEPE_USDT-1h.csv.gz": ("1000PEPE/USDT", "1h"),
}


def test_a_folder_of_freqtrade_s(store: MarketStore, tmp_path: Path) -> None:
    folder = tmp_path / "binance"
    (folder / "futures").mkdir(parents=True)
    for name in FREQTRADE:
        write(folder / name, table())
    for name in ("futures/BTC_USDT_USDT-1h-mark.feather", "futures/BTC_USDT_USDT-8h-funding_rate.feather"):
        write(folder / name, table())
    write(folder / "notes.csv", table())
    write(folder / "BAD_USDT-1h.feather", table().assign(low=0.0))
    (folder / "README.md").write_text("hello")
    report = store.import_folder(folder, venue="binance")
    assert {(r.symbol, r.timeframe) for r in report.imported} == set(FREQTRADE.values())
    assert {series.venue for series in store.list()} == {"binance"}
    reasons = {skipped.file: skipped.reason for skipped in report.skipped}
    assert reasons.keys() == {
        "BTC_USDT_USDT-1h-mark.feather",
        "BTC_USDT_USDT-8h-funding_rate.feather",
        "notes.csv",
        "BAD_USDT-1h.feather",
    }
    assert "funding_rate is no trading data" in reasons["BTC_USDT_USDT-8h-funding_rate.feather"]
    assert "price of zero" in reasons["BAD_USDT-1h.feather"]


NAMES_OF_FILES = {
    "BTC_USDT-1h.feather": ("BTC/USDT", "1h"),
    "BTC_USDT_USDT-1h-futures.feather": ("BTC/USDT:USDT", "1h"),
    "BTC_USD_BTC-4h-futures.parquet": ("BTC/USD:BTC", "4h"),
    "BTC_USDT_USDT-251226-1h-futures.feather": ("BTC/USDT:USDT-251226", "1h"),
    "XBT_EUR_d-1h.csv": ("XBT/EUR.d", "1h"),
    "BRK_B_USD-1d.csv.gz": ("BRK.B/USD", "1d"),
    "ETH_BTC-1h.json.gz": ("ETH/BTC", "1h"),
    "A_B_C-1d.csv": "A_B_C could be several symbols; import it alone, with --symbol",
    "USD_EUR_GBP-1d.csv": "USD_EUR_GBP could be several symbols; import it alone, with --symbol",
    "BTC_USDT-mark.feather": "the name does not say symbol and timeframe",
    "BTC_USDT-8h-funding_rate.feather": "funding_rate is no trading data",
    "notes.md": "it is no table of candles",
}


def test_names_of_files_say_their_markets() -> None:
    assert {name: named_market(name) for name in NAMES_OF_FILES} == NAMES_OF_FILES


def test_the_venue_is_the_folder_that_is_not_named_after_a_kind_of_market(store: MarketStore, tmp_path: Path) -> None:
    for place in ("binance/futures", "kraken", "binance"):
        (tmp_path / "data" / place).mkdir(parents=True, exist_ok=True)
    write(tmp_path / "data/binance/futures/BTC_USDT_USDT-1h-futures.feather", table())
    write(tmp_path / "data/binance/BTC_USDT-1h.feather", table())
    write(tmp_path / "data/kraken/BTC_USDT-1h.feather", table())
    store.import_folder(tmp_path / "data")
    found = {(series.venue, series.symbol) for series in store.list()}
    assert found == {("binance", "BTC/USDT:USDT"), ("binance", "BTC/USDT"), ("kraken", "BTC/USDT")}


def test_a_folder_without_candles_is_refused(store: MarketStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "gone"):
        with pytest.raises(Invalid, match="no files such as"):
            store.import_folder(tmp_path / folder)


def test_real_candles(store: MarketStore, shared_data: Path) -> None:
    spot = store.import_folder(shared_data / "spot", venue="binance")
    perpetual = store.import_folder(shared_data / "perpetual", venue="binance")
    assert (len(spot.imported), len(perpetual.imported)) == (6, 9)
    assert spot.skipped == perpetual.skipped == []
    funding = store.import_folder(shared_data / "funding")
    assert funding.imported == []
    assert all("columns are missing" in skipped.reason for skipped in funding.skipped)
    by_name = {(r.symbol, r.timeframe): r for r in spot.imported}
    assert by_name["BTC/USDT", "5m"].n_bars == 71_769
    assert by_name["BTC/USDT", "5m"].gaps == []
    assert store.find("BTC/USDT:USDT", "1h").n_bars == 719
    hours = store.load("binance", "BTC/USDT", "1h")
    fours = store.load("binance", "BTC/USDT", "4h")
    assert len(hours) // 4 == len(fours) == store.find("BTC/USDT", "4h").n_bars


@pytest.fixture
def full(store: MarketStore) -> MarketStore:
    bring(store, table())
    bring(store, table(), symbol="ETH/USDT")
    bring(store, table(), symbol="ETH/USDT", venue="binance")
    five = table().assign(date=pd.to_datetime(START + 300_000 * np.arange(48), unit="ms", utc=True))
    bring(store, five, symbol="SOL/USDT", timeframe="5m")
    bring(store, table(), symbol="SOL/USDT")
    return store


def test_finding_what_is_stored_or_can_be_made(full: MarketStore) -> None:
    exact = full.find("BTC/USDT", "1h")
    assert (exact.source, exact.timeframe, exact.n_bars) == (None, "1h", 48)
    assert full.find("BTC/USDT", "60m").timeframe == "1h"
    assert full.find("BTC/USDT") == exact
    assert full.find("ETH/USDT", "1h", "binance").venue == "binance"
    made = full.find("SOL/USDT", "4h")
    assert (made.source, made.timeframe, made.n_bars) == ("1h", "4h", 12)
    assert (made.start_ms, made.end_ms, made.data_hash) == (
        START,
        START + 48 * HOUR,
        full.find("SOL/USDT", "1h").data_hash,
    )
    assert full.find("SOL/USDT", "30m").source == "5m"
    assert len(full.load("local", "SOL/USDT", "30m")) == 8
    assert full.load("local", "SOL/USDT", "4h").timeframe == "4h"


@pytest.mark.parametrize(
    ("arguments", "kind", "path", "words"),
    [
        (("BTC/USD", "1h"), NotFound, "/data/symbol", "did you mean BTC/USDT"),
        (("XXXXXXXX", "1h"), NotFound, "/data/symbol", "there are BTC/USDT, ETH/USDT, SOL/USDT"),
        (("BTC/USDT", "1h", "kraken"), NotFound, "/data/symbol", "from kraken"),
        (("BTC/USDT", "5m"), NotFound, "/data/timeframe", "1h"),
        (("BTC/USDT", "90m"), NotFound, "/data/timeframe", "1h"),
        (("BTC/USDT", "1w"), NotFound, "/data/timeframe", "1h"),
        (("BTC/USDT", "hourly"), Invalid, "/data/timeframe", "no timeframe"),
        (("ETH/USDT", "1h"), Invalid, "/data/venue", "binance, local"),
        (("SOL/USDT",), Invalid, "/data/timeframe", "5m, 1h"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_is_there(
    full: MarketStore, arguments: tuple[str, ...], kind: type[TunesmithError], path: str, words: str
) -> None:
    with pytest.raises(kind) as refused:
        full.find(*arguments)
    assert type(refused.value) is kind
    assert refused.value.path == path
    assert words in refused.value.message


def test_listing_by_venue_and_symbol(full: MarketStore) -> None:
    assert [(s.venue, s.symbol, s.timeframe) for s in full.list()] == [
        ("binance", "ETH/USDT", "1h"),
        ("local", "BTC/USDT", "1h"),
        ("local", "ETH/USDT", "1h"),
        ("local", "SOL/USDT", "5m"),
        ("local", "SOL/USDT", "1h"),
    ]
    assert len(full.list(venue="local")) == 4
    assert len(full.list(symbol="ETH/USDT")) == 2
    assert full.list(venue="binance", symbol="BTC/USDT") == []


def test_the_time_at_a_share_of_the_span_is_a_bar_s(full: MarketStore) -> None:
    series = full.find("BTC/USDT", "1h")
    assert series.time_at(0.0) == START
    assert series.time_at(0.7) == START + 33 * HOUR
    assert series.time_at(1.0) == series.end_ms


def test_a_mark_is_that_of_the_bars_and_is_made_where_it_is_missing(store: MarketStore) -> None:
    bring(store, table())
    (series,) = store.list()
    bars = store.load("local", "BTC/USDT", "1h")
    kept = store.mark(series)
    assert kept.closes == daily_closes(bars.timestamp, bars.close, "1h").tobytes()
    assert kept.mark == packed(mark_of(bars.timestamp, bars.close, "1h"))
    if isinstance(store, MarketFolder):
        [file] = store.root.rglob("*.mark")
        for damage in (lambda: file.unlink(), lambda: file.write_bytes(b"no mark")):
            damage()
            with pytest.raises(FileNotFoundError):
                store.mark(series)
            store.keep_marks("local", "BTC/USDT")
            assert store.mark(series) == kept
    store.keep_marks("local", "ABSENT/USDT")
    bring(store, table(range(400), seed=1), replace=True)
    with pytest.raises(FileNotFoundError):
        store.mark(series)


def test_a_market_has_the_calendar_that_is_recognized_until_one_is_named(store: MarketStore) -> None:
    report = bring(store, table(range(400)))
    (series,) = store.list()
    assert (report.calendar, series.calendar, store.calendar_of(series)) == ("24/7", "24/7", "24/7")
    named = store.name_calendar(report, calendar_named("irregular"))
    assert (named.calendar, store.calendar_of(series)) == ("irregular", "irregular")
    assert store.load("local", "BTC/USDT", "1h").calendar == IRREGULAR
    with pytest.raises(Invalid, match="bars of BTC/USDT lie outside of the sessions of weekdays"):
        store.name_calendar(report, calendar_named("weekdays"))
    assert store.calendar_of(series) == "irregular"
    if isinstance(store, MarketFolder):
        store.remove(series)
        bring(store, table(range(400)))
        assert store.calendar_of(store.find("BTC/USDT")) == "24/7"  # who named one, named it for what is gone


def test_workers_import_into_and_cut_from_the_store_of_the_setting(store: MarketStore, tmp_path: Path) -> None:
    stamps = [START + HOUR * hour for hour in range(48)]
    rows = list(zip(stamps, *(table()[name].tolist() for name in COLUMNS), strict=True))
    chosen = "" if isinstance(store, MarketFolder) else "shelf://here/2"
    environ = {"TUNESMITH_SERVER__DATA_DIR": str(tmp_path), "TUNESMITH_SERVER__MARKET": chosen}
    settings = config.load(environ=environ)
    import_bars(ImportBars(market=settings.market, venue="local", rows=rows, **NAMES))
    assert store.find("BTC/USDT").n_bars == 48
    done = prepare(
        Prepare(
            data_dir=str(settings.data_dir),
            market=settings.market,
            venue="local",
            symbol="BTC/USDT",
            timeframe="4h",
            start_ms=START,
            end_ms=START + 40 * HOUR,
            boundary_ms=START + 32 * HOUR,
            in_sample_end_ms=START + 32 * HOUR,
        )
    )
    assert (done.n_bars, done.n_in_sample, done.n_holdout) == (10, 8, 2)


def test_a_scheme_is_one_store_s() -> None:
    with shelf(), pytest.raises(ValueError, match="shelf:// already"):
        register_market("shelf", Shelf)
    assert MARKETS == {}
    assert isinstance(open_market("~/candles"), MarketFolder)
