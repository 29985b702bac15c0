"""One set of candles in random tables: under other names, in other orders, with other separators, units and marks.

What is read is what was written, or the table is refused; nothing is read as something else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain.market.layouts.layout_samples import Candle, german, made
from tunesmith.domain.market.layouts.reading import UNSAID
from tunesmith.domain.market.layouts.sheet_candles import SheetCandles, candles_of_sheet
from tunesmith.domain.market.layouts.text_tables import read_text
from tunesmith.errors import Invalid
from tunesmith.storage.market.candles import Candles, problems_of

PRICES = ("open", "high", "low", "close")
NAMES = {
    "time": ["timestamp", "date", "Date", "time", "open_time", "unix", "MTS", "t", "window_start", "close_time", "",
             "x", "Local time", "<DATE>", "日期"],
    "open": ["open", "Open", "o", "1. open", "<OPEN>", "开盘", "first", "close"],
    "high": ["high", "h", "HIGH", "price_high", "最高", "max"],
    "low": ["low", "l", "Low ", "<LOW>", "最低", "min"],
    "close": ["close", "c", "Close/Last", "Price", "收盘", "last", "adj close"],
    "volume": ["volume", "vol", "v", "Volume BTC", "Volume USDT", "volumefrom", "成交量", "amount", "tick_volume"],
}  # fmt: skip
EXTRA = {
    "count": lambda c: 17,
    "quote_volume": lambda c: round(c.close * c.volume, 2),
    "symbol": lambda c: "BTCUSDT",
    "Close.1": lambda c: c.close * 2,
    "vwap": lambda c: c.close,
    "": lambda c: 3,
    "close_time": lambda c: c.ms + 3_599_999,
    "date_": lambda c: c.time.date().isoformat(),
    "index": lambda c: 5,
}
FORMS: dict[str, Callable[[Candle], Any]] = {
    "s": lambda c: c.ms // 1000,
    "ms": lambda c: c.ms,
    "us": lambda c: c.ms * 1000,
    "ns": lambda c: c.ms * 1_000_000,
    "closing ms": lambda c: c.ms + 3_599_999,
    "days": lambda c: (c.time - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1),
    **{
        form: lambda c, form=form: c.time.strftime(form)  # type: ignore[misc]
        for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S UTC", "%Y/%m/%d %H:%M",
                     "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%d-%m-%y %H:%M", "%Y%m%d %H%M%S",
                     "%Y%m%d%H%M", "%d-%b-%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d %B %Y %H:%M", "%Y-%m-%dT%H:%M:%S+00:00")
    },
}  # fmt: skip
MARKS: dict[str, Callable[[float], str]] = {
    "plain": str,
    "german": german,
    "comma": lambda v: str(v).replace(".", ","),
    "thousands": lambda v: f"{v:,}",
    "dollars": lambda v: f"${v:,.2f}",
    "three digits": lambda v: f"{v:.3f}",
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Candle], bytes]:
    """Candles, and a text that holds them."""
    begin = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 40)), hours=draw(st.integers(0, 23)))
    candles = made(draw(st.integers(4, 40)), begin, scale=draw(st.sampled_from([0.02, 1.0, 50.0])))
    candles = [Candle(c.time, *(round(v, 2) for v in c[1:])) for c in candles]
    usual = draw(st.booleans())
    names = {role: known[0] if usual else draw(st.sampled_from(known)) for role, known in NAMES.items()}
    form = FORMS[draw(st.sampled_from(list(FORMS)))]
    mark = MARKS[draw(st.sampled_from(list(MARKS)))]
    roles: list[str] = ["time", *PRICES, *(["volume"] if draw(st.integers(0, 5)) else [])]
    roles += draw(st.lists(st.sampled_from(list(EXTRA)), max_size=3, unique=True))
    if draw(st.booleans()):
        roles = draw(st.permutations(roles))
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    rows = [[names.get(role, role) for role in roles]] if draw(st.integers(0, 3)) else []
    for c in candles[:: draw(st.sampled_from([1, 1, -1]))]:
        cells = [
            form(c) if role == "time" else EXTRA[role](c) if role in EXTRA else mark(getattr(c, role)) for role in roles
        ]
        rows.append([f'"{cell}"' if separator in str(cell) else str(cell) for cell in cells])
    text = "\r\n".join(separator.join(row) for row in rows) + draw(st.sampled_from(["", "\n", "\n\n"]))
    return candles, text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"])))


def read(content: bytes) -> SheetCandles | None:
    """What an import would store; None where it refuses."""
    try:
        found = candles_of_sheet(read_text(content), UNSAID, "BTC/USDT", "1h")
    except (Invalid, ValueError):
        return None
    return None if problems_of(Candles(found.timestamp, found.ohlcv), "1h") else found


@settings(max_examples=200)
@given(tables())
def test_a_table_is_read_as_it_was_written_or_refused(made_table: tuple[list[Candle], bytes]) -> None:
    candles, content = made_table
    found = read(content)
    event("read" if found is not None else "refused")
    if found is None:
        return
    assert found.timestamp.tolist() == [c.ms for c in candles], content[:300]
    for name in PRICES:
        np.testing.assert_allclose(found.ohlcv[name], [getattr(c, name) for c in candles], err_msg=str(content[:300]))
    if not any("no column of the volume" in note or "they are time" in note for note in found.notes):
        np.testing.assert_allclose(found.ohlcv["volume"], [c.volume for c in candles], err_msg=str(content[:300]))


def test_most_usual_tables_are_read() -> None:
    """The property holds for a reader that refuses everything, too; so what people have is read."""
    candles = made(30, datetime(2024, 1, 20, tzinfo=UTC))
    refused = []
    for label, form in FORMS.items():
        for separator in (",", ";", "\t"):
            for order in ((*PRICES, "volume"), ("volume", "close", "low", "high", "open")):
                rows = [["date", *order], *([form(c), *(getattr(c, name) for name in order)] for c in candles)]
                content = "\n".join(separator.join(map(str, row)) for row in rows).encode()
                if read(content) is None:
                    refused.append(label)
    assert set(refused) == {"closing ms", "%d-%m-%y %H:%M"}
