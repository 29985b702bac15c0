"""What commands imported: acts in a file of the data directory, which the daemon enters in its audit log."""

from __future__ import annotations

from pathlib import Path

from tunesmith.domain.market.calendars import Calendar
from tunesmith.protocol.messages.markets import ImportReport
from tunesmith.storage.market.series import Series
from tunesmith.storage.secrets.key_log import note

IMPORT = "data.import"
NEW_EVIDENCE = "data.new_evidence"


def note_import(data_dir: Path, report: ImportReport, *, replace: bool, calendar: Calendar | None = None) -> None:
    """Add that candles were imported, and which calendar was named for them. Raises `OSError`."""
    how = "replacing what differs" if replace else "adding"
    detail = f"{how}: {report.n_new} new bars, {report.n_bars} in all, {report.start[:10]} to {report.end[:10]}"
    if calendar is not None:
        detail += f"; the market's calendar is {calendar.text}"
    note(data_dir, IMPORT, f"{report.venue} {report.symbol} {report.timeframe}", detail=detail)


def note_download(data_dir: Path, series: Series, n_new: int) -> None:
    """Add that candles were downloaded. Raises `OSError`."""
    detail = f"downloaded: {n_new} new bars, {series.n_bars} in all"
    note(data_dir, IMPORT, f"{series.venue} {series.symbol} {series.timeframe}", detail=detail)


def note_new_evidence(data_dir: Path, venue: str, symbol: str) -> None:
    """Add that bars which had been used were replaced by others. Raises `OSError`."""
    note(data_dir, NEW_EVIDENCE, f"{venue} {symbol}", detail="bars that a search or a verdict used were replaced")


def market_of(name: str) -> tuple[str, str]:
    """Venue and symbol of an act's name; neither has a space."""
    venue, _, symbol = name.partition(" ")
    return venue, symbol
