"""Small files of candles in the layouts that people have, all of the same candles."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

HOUR, DAY = 3_600_000, 86_400_000
BEGIN = datetime(2024, 1, 20, tzinfo=UTC)


class Candle(NamedTuple):
    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def ms(self) -> int:
        return round(self.time.timestamp() * 1000)


def made(
    n: int = 60, begin: datetime = BEGIN, step: timedelta = timedelta(hours=1), scale: float = 1.0
) -> list[Candle]:
    """Candles that open where the one before closed, with prices around 100 times `scale` and volumes above 1000."""
    rng = np.random.default_rng(5)
    close = np.round(100.0 * scale * np.exp(np.cumsum(rng.normal(0, 0.01, n))), 2)
    opened = np.concatenate([[100.0 * scale], close[:-1]])
    high = np.round(np.maximum(opened, close) * (1.0 + rng.uniform(0.001, 0.01, n)), 2)
    low = np.round(np.minimum(opened, close) * (1.0 - rng.uniform(0.001, 0.01, n)), 2)
    volume = np.round(rng.uniform(1e6, 2e6, n), 3)
    values = (column.tolist() for column in (opened, high, low, close, volume))
    return [Candle(begin + i * step, *each) for i, each in enumerate(zip(*values, strict=True))]


HOURS = made()
DAYS = made(step=timedelta(days=1))
EARLY = made(8, datetime(2024, 1, 1, tzinfo=UTC), timedelta(days=1))
"""Days that no date tells from months."""
DEAR = made(scale=50.0)


@dataclass
class Sample:
    """A file, what is said of its layout, and the candles that are in it.

    `needs` is an option that the refusal must name where the file alone is refused; "" where none can help.
    """

    file: str
    content: bytes
    candles: list[Candle] = field(default_factory=lambda: HOURS)
    needs: str | None = None
    says: str = ""
    said: str = ""
    timeframe: str = "1h"
    symbol: str = "BTC/USDT"
    volume: bool = True


def csv(header: Sequence[str] | None, rows: Sequence[Sequence[Any]], sep: str = ",") -> bytes:
    lines = [sep.join(map(str, row)) for row in rows]
    return "\n".join([*([sep.join(header)] if header else []), *lines, ""]).encode()


def plain(
    candles: list[Candle],
    time: Callable[[Candle], Any],
    names: str = "timestamp,open,high,low,close,volume",
    sep: str = ",",
    more: Sequence[Any] = (),
) -> bytes:
    rows = [(time(c), *c[1:], *more) for c in candles]
    return csv(names.split(",") if names else None, rows, sep)


def ms(c: Candle) -> int:
    return c.ms


def form(text: str) -> Callable[[Candle], str]:
    return lambda c: c.time.strftime(text)


def local(zone: str, text: str) -> Callable[[Candle], str]:
    return lambda c: c.time.astimezone(ZoneInfo(zone)).strftime(text)


def binance(candles: list[Candle], per: int = 1, header: str = "") -> bytes:
    rows = [
        (c.ms * per, *c[1:], (c.ms + HOUR) * per - 1, round(c.close * c.volume, 2), 12, 0.5, 50.0, 0) for c in candles
    ]
    return csv(header.split(",") if header else None, rows)


def frame(candles: list[Candle], time: str = "date") -> pd.DataFrame:
    table = pd.DataFrame(candles).drop(columns="time")
    table.insert(0, time, pd.to_datetime([c.ms for c in candles], unit="ms", utc=True))
    return table


def stored(write: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(name: str, content: bytes, *others: str) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(name, content)
            for other in others:
                archive.writestr(other, content)

    return stored(write)


def arrow_stream(table: pd.DataFrame) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        with pa.ipc.new_stream(buffer, arrow.schema) as stream:
            stream.write_table(arrow)

    return stored(write)


def hdf5(candles: list[Candle], folder: Any) -> bytes:
    file = folder / "made.h5"
    frame(candles).to_hdf(file, key="BTC_USDT/ohlcv/tf_1h", format="table", data_columns=["date"])
    return bytes(file.read_bytes())


def excel(rows: Sequence[Sequence[Any]], dated: bool = True) -> bytes:
    """A workbook of one sheet as spreadsheets write it; `dated` days have the style of dates."""

    def cell(value: Any) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        if isinstance(value, datetime):
            days = (value - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1)
            return f'<c s="{int(dated)}"><v>{days!r}</v></c>'
        return f"<c><v>{value!r}</v></c>"

    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        f'"application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets><sheet name="A" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{rel}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{rel}/styles" '
        'Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22"/>'
        "</cellXfs></styleSheet>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }

    def write(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)

    return stored(write)


def compressed(content: bytes, how: str) -> bytes:
    return {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[how](content)


def german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
