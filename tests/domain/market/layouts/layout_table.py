"""The samples of the guide's table of layouts, by the name that the table gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from domain.market.layouts.layout_samples import (
    DAYS,
    DEAR,
    EARLY,
    HOUR,
    HOURS,
    Candle,
    Sample,
    arrow_stream,
    as_json,
    binance,
    compressed,
    csv,
    excel,
    form,
    frame,
    german,
    hdf5,
    local,
    made,
    ms,
    plain,
    stored,
    zipped,
)

EST = timezone(timedelta(hours=-5))
NY = ZoneInfo("America/New_York")
ISO = form("%Y-%m-%dT%H:%M:%SZ")
BINANCE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
WINTER = made(begin=datetime(2024, 10, 26, 22, tzinfo=UTC))
"""Hours over the end of summer time in Berlin."""
SUMMER = made(begin=datetime(2024, 3, 9, 22, tzinfo=UTC))
NEW_YORK = made(120, datetime(2024, 1, 20, tzinfo=UTC), timedelta(days=1))
WINTER_DAYS = [candle for candle in made(30, datetime(2024, 1, 2, tzinfo=UTC), timedelta(days=1))
               if candle.time.weekday() < 5]  # fmt: skip
NSE = (
    "Symbol,Series,Date,Prev Close,Open Price,High Price,Low Price,Last Price,Close Price,Total Traded Quantity,Trades"
)
HOUR_LESS_A_SECOND = timedelta(minutes=59, seconds=59)
OLD = made(begin=datetime(1962, 1, 2, tzinfo=UTC), step=timedelta(days=1))
EVENING = made(begin=datetime(2024, 1, 20, 17, tzinfo=UTC), step=timedelta(days=1))


def without_file_formats() -> dict[str, Sample]:
    """The layouts of texts."""
    return {**of_exchanges(), **of_vendors(), **of_times(), **of_numbers()}


def of_exchanges() -> dict[str, Sample]:
    low_high = [(c.ms // 1000, c.low, c.high, c.open, c.close, c.volume) for c in HOURS]
    open_close = [(c.ms, c.open, c.close, c.high, c.low, c.volume) for c in reversed(HOURS)]
    kraken = [(c.ms // 1000, *c[1:], 17) for c in HOURS]
    counted = [c._replace(volume=float(i)) for i, c in enumerate(HOURS)]
    return {
        "Binance, milliseconds": Sample("BTCUSDT-1h-2024-01.csv", binance(HOURS)),
        "Binance, microseconds": Sample("BTCUSDT-1h-2025-01.csv", binance(HOURS, 1000)),
        "Binance with a header": Sample("b.csv", binance(HOURS, 1, BINANCE_HEADER)),
        "Binance by name": Sample("b.csv", binance(HOURS[:2]), HOURS[:2], said="--layout binance"),
        "Kraken": Sample("XBTUSD_60.csv", csv(None, kraken)),
        "Coinbase": Sample("c.csv", csv(None, low_high)),
        "Coinbase by name": Sample("c.csv", csv(None, low_high), said="--layout coinbase"),
        "Bitfinex": Sample("f.csv", csv(None, open_close)),
        "Bitfinex with a header": Sample("f.csv", csv(["MTS", "OPEN", "CLOSE", "HIGH", "LOW", "VOLUME"], open_close)),
        "ccxt without a header": Sample("x.csv", plain(HOURS, ms, "")),
        "six numbers, the last a count or a volume": Sample(
            "u.csv",
            csv(None, [(c.ms, *c[1:5], int(c.volume)) for c in counted]),
            counted,
            needs="--columns time,open,high,low,close,volume",
            says="do not prove",
        ),
        "freqtrade's CSV": Sample(
            "t.csv", plain(HOURS, form("%Y-%m-%d %H:%M:%S+00:00"), "date,open,high,low,close,volume")
        ),
        "TradingView": Sample("t.csv", plain(HOURS, lambda c: c.ms // 1000, "time,open,high,low,close,Volume")),
        "Polygon's flat files": Sample(
            "p.csv",
            csv(
                ["ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"],
                [("X:BTC-USD", c.volume, c.open, c.close, c.high, c.low, c.ms * 1_000_000, 3) for c in HOURS],
            ),
        ),
        "CryptoCompare": Sample(
            "h.csv",
            csv(
                ["time", "high", "low", "open", "volumefrom", "volumeto", "close"],
                [(c.ms // 1000, c.high, c.low, c.open, c.volume, 9.0, c.close) for c in HOURS],
            ),
        ),
        "CryptoDataDownload": Sample(
            "Binance_BTCUSDT_1h.csv",
            b"https://www.CryptoDataDownload.com\n"
            + csv(
                ["unix", "date", "symbol", "open", "high", "low", "close", "Volume BTC", "Volume USDT"],
                [(c.ms, c.time.strftime("%Y-%m-%d %H:%M:%S"), "BTCUSDT", *c[1:], 9.0) for c in reversed(HOURS)],
            ),
        ),
        "only the quote's volume": Sample(
            "q.csv",
            plain(HOURS, ISO, "date,open,high,low,close,Volume USDT"),
            needs="--columns 'volume=Volume USDT'",
            says="the volume could be Volume USDT",
        ),
        "CoinMarketCap": Sample("cmc.csv", coinmarketcap(DAYS), DAYS, timeframe="1d"),
    }


def coinmarketcap(candles: list[Candle]) -> bytes:
    end = (timedelta(days=1) - timedelta(milliseconds=1), "%Y-%m-%dT%H:%M:%S.999Z")
    header = "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;timestamp"
    rows = [
        (
            c.time.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            close := (c.time + end[0]).strftime(end[1]),
            c.time.strftime("%Y-%m-%dT05:00:00.000Z"),
            c.time.strftime("%Y-%m-%dT07:00:00.000Z"),
            "2781",
            *c[1:],
            1e9,
            close,
        )
        for c in reversed(candles)
    ]
    return csv(header.split(";"), rows, ";")


def clock(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def of_vendors() -> dict[str, Sample]:
    histdata = [(c.time.astimezone(EST).strftime("%Y%m%d %H%M%S"), *c[1:5], 0) for c in HOURS]
    histdata_mt = [(c.time.astimezone(EST).strftime("%Y.%m.%d,%H:%M"), *c[1:5], 0) for c in HOURS]
    flat = [c._replace(volume=0.0) for c in HOURS]
    metatrader = [(c.time.strftime("%Y.%m.%d"), c.time.strftime("%H:%M:%S"), *c[1:], 7, 2) for c in HOURS]
    yahoo = [(c.time.strftime("%Y-%m-%d"), c.close, c.high, c.low, c.open, c.volume) for c in DAYS]
    chinese = "日期,开盘,收盘,最高,最低,成交量,成交额,涨跌幅"
    chinese_rows = [(c.time.strftime("%Y-%m-%d"), c.open, c.close, c.high, c.low, c.volume, 1e9, 0.1) for c in DAYS]
    return {
        "HistData": Sample("DAT_ASCII_EURUSD_M1.csv", csv(None, histdata, ";"), flat, needs="--layout histdata"),
        "HistData by name": Sample("d.csv", csv(None, histdata, ";"), flat, said="--layout histdata"),
        "HistData for MetaTrader": Sample("DAT_MT.csv", csv(None, histdata_mt), flat, needs="--layout histdata-mt"),
        "Dukascopy, GMT": Sample(
            "d.csv", plain(HOURS, form("%d.%m.%Y %H:%M:%S.000"), "Gmt time,Open,High,Low,Close,Volume")
        ),
        "Dukascopy, local with offsets": Sample(
            "d.csv",
            plain(
                WINTER, local("Europe/Berlin", "%d.%m.%Y %H:%M:%S.000 GMT%z"), "Local time,Open,High,Low,Close,Volume"
            ),
            WINTER,
        ),
        "local times without a zone": Sample(
            "d.csv",
            plain(HOURS, form("%d.%m.%Y %H:%M:%S"), "Local time,Open,High,Low,Close,Volume"),
            needs="--timezone UTC",
            says="has local times",
        ),
        "MetaTrader 5": Sample(
            "m.csv",
            csv(
                ["<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>", "<TICKVOL>", "<SPREAD>"],
                metatrader,
                "\t",
            ),
            needs="--timezone UTC",
            says="MetaTrader writes the server's times",
        ),
        "yfinance": Sample(
            "y.csv",
            b"Price,Close,High,Low,Open,Volume\nTicker,^GSPC,^GSPC,^GSPC,^GSPC,^GSPC\nDate,,,,,\n" + csv(None, yahoo),
            DAYS,
            timeframe="1d",
            symbol="^GSPC",
        ),
        "yfinance, two tickers": Sample(
            "y.csv",
            b"Price,Close,Close,High,High\nTicker,AAPL,MSFT,AAPL,MSFT\nDate,,,,\n"
            + csv(None, [(c.time.strftime("%Y-%m-%d"), c.close, c.close, c.high, c.high) for c in DAYS]),
            DAYS,
            needs="",
            says="several markets (AAPL, MSFT)",
            timeframe="1d",
        ),
        "two tickers flattened": Sample(
            "y.csv",
            csv(
                ["Date", "Open", "High", "Low", "Close", "Volume", "Open", "High", "Low", "Close", "Volume"],
                [(c.time.strftime("%Y-%m-%d"), *c[1:], *c[1:]) for c in DAYS],
            ),
            DAYS,
            needs="",
            says="the column open is there twice",
            timeframe="1d",
        ),
        "one file of two symbols": Sample(
            "s.csv",
            csv(
                ["date", "symbol", "open", "high", "low", "close", "volume"],
                [(ISO(c), name, *c[1:]) for c in HOURS for name in ("AAA", "BBB")],
            ),
            needs="",
            says="names several markets (AAA, BBB)",
        ),
        "Stooq": Sample(
            "s.txt",
            csv(
                ["<TICKER>", "<PER>", "<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>", "<OPENINT>"],
                [("BTC.V", "60", c.time.strftime("%Y%m%d"), c.time.strftime("%H%M%S"), *c[1:], 0) for c in HOURS],
            ),
            needs="--timezone UTC",
        ),
        "Investing.com": Sample(
            "i.csv",
            csv(
                ["\ufeff" + '"Date"', '"Price"', '"Open"', '"High"', '"Low"', '"Vol."', '"Change %"'],
                [
                    (
                        c.time.strftime('"%m/%d/%Y"'),
                        *(f'"{v:,}"' for v in (c.close, c.open, c.high, c.low)),
                        f'"{c.volume / 1000}K"',
                        '"0.5%"',
                    )
                    for c in reversed(DAYS)
                ],
            ),
            DAYS,
            timeframe="1d",
        ),
        "Nasdaq": Sample(
            "n.csv",
            csv(
                ["Date", "Close/Last", "Volume", "Open", "High", "Low"],
                [
                    (c.time.strftime("%m/%d/%Y"), f"${c.close}", c.volume, f"${c.open}", f"${c.high}", f"${c.low}")
                    for c in reversed(DAYS)
                ],
            ),
            DAYS,
            timeframe="1d",
        ),
        "Tushare": Sample(
            "t.csv",
            csv(
                [
                    "ts_code",
                    "trade_date",
                    "open",
                    "high",
                    "low",
                    "close",
                    "pre_close",
                    "change",
                    "pct_chg",
                    "vol",
                    "amount",
                ],
                [
                    ("600519.SH", c.time.strftime("%Y%m%d"), *c[1:5], 1.0, 1.0, 1.0, c.volume, 9.0)
                    for c in reversed(DAYS)
                ],
            ),
            DAYS,
            timeframe="1d",
            symbol="贵州茅台",
        ),
        "MOEX": Sample(
            "m.csv",
            csv(
                ["open", "close", "high", "low", "value", "volume", "begin", "end"],
                [
                    (c.open, c.close, c.high, c.low, 9.0, c.volume, clock(c.time), clock(c.time + HOUR_LESS_A_SECOND))
                    for c in HOURS
                ],
                ";",
            ),
            symbol="SBER",
        ),
        "NSE": Sample(
            "n.csv",
            csv(
                NSE.split(","),
                [
                    ("M&M", "EQ", c.time.strftime("%d-%b-%Y"), 1.0, *c[1:4], c.close + 0.01, c.close, c.volume, 7)
                    for c in DAYS
                ],
            ),
            DAYS,
            timeframe="1d",
            symbol="M&M.NS",
        ),
        "Chinese names, UTF-8": Sample("a.csv", csv(chinese.split(","), chinese_rows), DAYS, timeframe="1d"),
        "Chinese names, GBK": Sample(
            "a.csv", csv(chinese.split(","), chinese_rows).decode().encode("gbk"), DAYS, timeframe="1d"
        ),
    }


def of_times() -> dict[str, Sample]:
    numbered = [(i, ISO(c), *c[1:]) for i, c in enumerate(HOURS)]
    apart = [(ISO(c), (c.time + timedelta(days=3)).strftime("%Y-%m-%d"), *c[1:]) for c in HOURS]
    end = form("%Y-%m-%dT23:59:59.999Z")
    first_days = "date,open,high,low,close,volume"
    return {
        "epoch seconds": Sample("e.csv", plain(HOURS, lambda c: c.ms // 1000, "unix,o,h,l,c,v")),
        "epoch nanoseconds": Sample("e.csv", plain(HOURS, lambda c: c.ms * 1_000_000)),
        "newest first": Sample("e.csv", plain(HOURS[::-1], ISO)),
        "an index without a name": Sample("e.csv", plain(HOURS, ISO, ",open,high,low,close,volume")),
        "an integer index": Sample("e.csv", csv(["", "date", "open", "high", "low", "close", "volume"], numbered)),
        "ending in UTC": Sample("e.csv", plain(HOURS, form("%Y-%m-%d %H:%M:%S UTC"))),
        "ending in +0000 UTC": Sample("e.csv", plain(HOURS, form("%Y-%m-%d %H:%M:%S +0000 UTC"))),
        "ending in EST": Sample(
            "e.csv",
            plain(HOURS, local("America/New_York", "%Y-%m-%d %H:%M:%S EST")),
            needs="--timezone America/New_York",
            says="EST is no zone",
        ),
        "American dates": Sample("e.csv", plain(DAYS, form("%m/%d/%Y"), first_days), DAYS, timeframe="1d"),
        "American dates and hours": Sample("e.csv", plain(HOURS, form("%m/%d/%Y %I:%M %p"))),
        "01/02/2024, which no row decides": Sample(
            "e.csv",
            plain(EARLY, form("%d/%m/%Y"), first_days),
            EARLY,
            timeframe="1d",
            needs="--time-format '%d/%m/%Y'",
            says="in several ways, and no row decides",
        ),
        "years of two digits": Sample(
            "e.csv", plain(DAYS, form("%m/%d/%y"), first_days), DAYS, timeframe="1d", needs="--time-format '%m/%d/%y'"
        ),
        "numbers such as 20240131": Sample(
            "e.csv", plain(DAYS, form("%Y%m%d"), "trade_date,o,h,l,c,vol"), DAYS, timeframe="1d"
        ),
        "dotted dates with a time": Sample("e.csv", plain(HOURS, form("%d.%m.%Y %H:%M"))),
        "names of months": Sample("e.csv", plain(DAYS, form("%d-%b-%Y"), first_days), DAYS, timeframe="1d"),
        "days of a spreadsheet": Sample(
            "e.csv", plain(HOURS, lambda c: (c.time - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1))
        ),
        "a date and a clock": Sample(
            "e.csv",
            csv(
                ["Date", "Time", "Open", "High", "Low", "Close", "Volume"],
                [(c.time.strftime("%Y-%m-%d"), c.time.strftime("%H:%M"), *c[1:]) for c in EVENING],
            ),
            EVENING,
            timeframe="1d",
        ),
        "a date and a clock without colons": Sample(
            "e.csv",
            csv(
                ["Date", "Time", "Open", "High", "Low", "Close", "Volume"],
                [(c.time.strftime("%Y%m%d"), c.time.strftime("%H%M"), *c[1:]) for c in HOURS],
            ),
        ),
        "local times with a zone": Sample(
            "e.csv", plain(WINTER, local("Europe/Berlin", "%Y-%m-%d %H:%M:%S")), WINTER, said="--timezone Europe/Berlin"
        ),
        "local hours without a zone, in autumn": Sample(
            "e.csv",
            plain(WINTER, local("Europe/Berlin", "%Y-%m-%d %H:%M:%S")),
            WINTER,
            needs="--timezone Europe/Berlin",
            says="an hour is there twice at 2024-10-27T02:00:00.000, when clocks change",
        ),
        "local hours without a zone, in spring": Sample(
            "e.csv",
            plain(SUMMER, local("America/New_York", "%Y-%m-%d %H:%M:%S")),
            SUMMER,
            needs="--timezone America/New_York",
            says="an hour is left out at 2024-03-10T03:00:00.000, when clocks",
        ),
        "days of New York": Sample(
            "e.csv", plain(NEW_YORK, lambda c: c.time.replace(tzinfo=NY).isoformat()), NEW_YORK, timeframe="1d"
        ),
        "days of an exchange, in winter": Sample(
            "e.csv",
            plain(WINTER_DAYS, lambda c: c.time.replace(tzinfo=NY).isoformat()),
            WINTER_DAYS,
            timeframe="1d",
        ),
        "before 1970": Sample("e.csv", plain(OLD, form("%Y-%m-%d"), first_days), OLD, timeframe="1d"),
        "before 1970, epoch": Sample("e.csv", plain(OLD, lambda c: c.ms // 1000), OLD, timeframe="1d"),
        "times at which bars close": Sample(
            "e.csv",
            plain(HOURS, lambda c: c.ms + HOUR, "close_time,open,high,low,close,volume"),
            needs="--times closing",
        ),
        "times that end in 23:59:59.999": Sample(
            "e.csv", plain(DAYS, end), DAYS, timeframe="1d", needs="--times closing", says="1 ms before a boundary"
        ),
        "times in seconds before the hour": Sample(
            "e.csv",
            plain(HOURS, lambda c: (c.ms + HOUR) // 1000 - 1),
            needs="--times closing",
            says="before a boundary",
        ),
        "a timestamp and a date that contradict": Sample(
            "e.csv",
            csv(["timestamp", "date", "open", "high", "low", "close", "volume"], apart),
            needs="--columns 'time=timestamp'",
            says="contradict each other, first at row 0",
        ),
    }


def of_numbers() -> dict[str, Sample]:
    thousands = [(ISO(c), *(f'"{v:,}"' for v in c[1:])) for c in DEAR]
    whole = [
        Candle(c.time, *(float(round(v)) for v in (c.open, c.high + 1, c.low - 1, c.close, c.volume / 1000)))
        for c in DEAR
    ]
    doubtful = [(ISO(c), *(f'"{int(v):,}"' for v in c[1:])) for c in whole]
    rounded = [Candle(c.time, *(round(v, 2) for v in c[1:])) for c in DEAR]
    nulls = [*plain(HOURS, ISO).decode().splitlines()[:-1], plain(HOURS, ISO).decode().splitlines()[-1]]
    nulls.insert(9, "2024-01-25T00:30:00Z,null,null,null,null,null")
    zero = [HOURS[0]._replace(low=0.0), *HOURS[1:]]
    return {
        "semicolons and decimal commas": Sample(
            "n.csv",
            csv(
                ["Date", "Open", "High", "Low", "Close", "Volume"],
                [(c.time.strftime("%d.%m.%Y %H:%M"), *(german(v) for v in c[1:])) for c in DEAR],
                ";",
            ),
            rounded,
        ),
        "thousands separators": Sample(
            "n.csv", csv(["date", "open", "high", "low", "close", "volume"], thousands), DEAR
        ),
        "1,234 that could be either": Sample(
            "n.csv",
            csv(["date", "open", "high", "low", "close", "volume"], doubtful),
            whole,
            needs="--decimal .",
            says="can be read in two ways",
        ),
        "tabs": Sample(
            "n.tsv",
            plain(HOURS, ISO, sep="\t").replace(
                b"timestamp,open,high,low,close,volume", b"timestamp\topen\thigh\tlow\tclose\tvolume"
            ),
        ),
        "UTF-16": Sample("n.csv", plain(HOURS, ISO).decode().encode("utf-16")),
        "no volume": Sample(
            "n.csv",
            csv(["date", "open", "high", "low", "close"], [(ISO(c), *c[1:5]) for c in HOURS]),
            [c._replace(volume=0.0) for c in HOURS],
            volume=False,
        ),
        "rows of null": Sample("n.csv", "\n".join(nulls).encode()),
        "a price of zero": Sample("n.csv", plain(zero, ISO), zero, needs="", says="returns are ratios of prices"),
        "a column less": Sample(
            "n.csv",
            plain(HOURS, ISO, "date,open,high,low,Schluss,volume"),
            needs="--columns time,open,high,low,close,volume",
            says="columns are missing: close",
        ),
    }


def of_formats(folder: Path) -> dict[str, Sample]:
    """The formats of files."""
    text = plain(HOURS, ISO)
    lists = [[c.ms, *c[1:]] for c in HOURS]
    records = [{"open_time": c.ms, **c._asdict(), "time": None} for c in HOURS]
    for record in records:
        del record["time"]
    columns = {
        "s": "ok",
        "t": [c.ms // 1000 for c in HOURS],
        **{name[0]: [getattr(c, name) for c in HOURS] for name in ("open", "high", "low", "close", "volume")},
    }
    kraken = {
        "error": [],
        "result": {
            "XXBTZUSD": [
                [c.ms // 1000, *map(str, (c.open, c.high, c.low, c.close, c.close)), str(c.volume), 5] for c in HOURS
            ],
            "last": 1,
        },
    }
    sheet = [("Date", "Open", "High", "Low", "Close", "Volume"), *((c.time, *c[1:]) for c in HOURS)]
    return {
        "gzip": Sample("z.csv.gz", compressed(text, "gz")),
        "zstd": Sample("z.csv.zst", compressed_frame(text)),
        "xz": Sample("z.csv.xz", compressed(text, "xz")),
        "bzip2": Sample("z.csv.bz2", compressed(text, "bz2")),
        "zip": Sample("BTCUSDT-1h-2024-01.zip", zipped("BTCUSDT-1h-2024-01.csv", binance(HOURS))),
        "zip of several": Sample("z.zip", zipped("a.csv", text, "b.csv"), needs="", says="holds 2 tables"),
        "JSON of ccxt": Sample("j.json", as_json(lists)),
        "JSON, gzip": Sample("BTC_USDT-1h.json.gz", compressed(as_json(lists), "gz")),
        "JSON of objects": Sample("j.json", as_json(records)),
        "JSON of columns": Sample("j.json", as_json(columns)),
        "JSON of Kraken's API": Sample("j.json", as_json(kraken)),
        "Parquet": Sample("p.parquet", stored(lambda b: frame(HOURS).to_parquet(b))),
        "Parquet with an index": Sample(
            "p.parquet", stored(lambda b: frame(HOURS, "Date").set_index("Date").to_parquet(b))
        ),
        "Feather": Sample("BTC_USDT-1h.feather", stored(lambda b: frame(HOURS).to_feather(b))),
        "Arrow stream": Sample("a.arrow", arrow_stream(frame(HOURS))),
        "HDF5 of freqtrade": Sample("BTC_USDT-1h.h5", hdf5(HOURS, folder)),
        "Excel": Sample("e.xlsx", excel(sheet)),
        "Excel, days as numbers": Sample("e.xlsx", excel(sheet, dated=False)),
    }


def compressed_frame(content: bytes) -> bytes:
    """A frame of zstd, as the command of that name writes it."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def all_samples(folder: Path) -> dict[str, Sample]:
    """Every sample by its name in the guide."""
    return {**without_file_formats(), **of_formats(folder)}
