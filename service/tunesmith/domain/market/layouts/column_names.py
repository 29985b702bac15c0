"""What people call the columns of candles: names, in tiers, of which the first that is there is taken."""

from __future__ import annotations

import re

from tunesmith.domain.market.layouts.reading import unread

OPENING = ("timeperiodstart", "windowstart", "periodstart", "opentime", "timeopen", "opentimestamp", "starttime",
           "klineopentime", "candlebegintime", "start", "startat", "startedat", "begin")  # fmt: skip
PLAIN_TIMES = ("timestamp", "date", "datetime", "time", "unix", "unixtime", "unixtimestamp", "epoch", "mts", "ts", "t",
               "tradedate", "dtyyyymmdd", "gmttime", "localtime", "dateutc", "timeutc", "utctime", "utc", "datetimeutc",
               "bucket", "日期时间", "日期", "时间", "交易日期", "交易时间")  # fmt: skip
CLOSING = ("closetime", "timeclose", "closetimestamp", "timeperiodend", "windowend", "endtime", "periodend",
           "klineclosetime", "end")  # fmt: skip
DAYS = frozenset({"date", "tradedate", "dtyyyymmdd", "日期", "交易日期"})
CLOCKS = frozenset({"time", "时间", "交易时间"})
FINAL = frozenset({"complete", "iscomplete", "confirm", "confirmed", "isclosed", "closed", "isfinal", "final"})
"""Columns that say of each bar whether it has closed."""
UNNAMED = frozenset({"", "index", "unnamed0"})
MARKETS = frozenset({"symbol", "ticker", "pair", "tic", "instrument", "code", "tscode", "asset", "market", "代码",
                     "股票代码", "名称"})  # fmt: skip

_TIERS: dict[str, tuple[frozenset[str], ...]] = {
    "open": (frozenset({"open", "o", "openprice", "priceopen", "开盘", "开盘价"}),),
    "high": (frozenset({"high", "h", "highprice", "pricehigh", "最高", "最高价"}),),
    "low": (frozenset({"low", "l", "lowprice", "pricelow", "最低", "最低价"}),),
    "close": (
        frozenset({"close", "c", "closeprice", "priceclose", "收盘", "收盘价", "closelast"}),
        frozenset({"last", "price", "lastprice"}),
    ),
    "volume": (
        frozenset(
            {
                "volume",
                "vol",
                "v",
                "basevolume",
                "volumebase",
                "volumefrom",
                "tradedvolume",
                "volumetraded",
                "basetokenvolume",
                "totaltradequantity",
                "totaltradedquantity",
                "ttltrdqnty",
                "成交量",
            }
        ),
        frozenset({"tickvolume", "tickvol"}),
    ),
}
_NOISE = re.compile(r"[\s_<>\"'`.\-/\[\]()]+")
_NUMBERED = re.compile(r"^\d+[a-z]?\.\s*")
_AGAIN = re.compile(r"(open|high|low|close|volume|timestamp|date|time)\d+")


def plain_name(name: str) -> str:
    """A name without case, spaces and punctuation; also without the number of "1. open"."""
    return _NOISE.sub("", _NUMBERED.sub("", name.strip().lstrip("\ufeff").casefold()))


def role_columns(names: list[str], symbol: str) -> dict[str, int]:
    """The place of open, high, low, close and volume among plain names, of those that are there.

    Raises `Unread` where one is there twice, or where it is in doubt which of several is the volume.
    """
    found: dict[str, int] = {}
    for role, tiers in _TIERS.items():
        known = (tiers[0] | {f"volume{base_of(symbol)}"}, *tiers[1:]) if role == "volume" else tiers
        for tier in known:
            places = [i for i, name in enumerate(names) if name in tier]
            if len(places) > 1:
                raise _twice(role, [names[i] for i in places])
            if places:
                found[role] = places[0]
                break
    for name in names:
        again = _AGAIN.fullmatch(name)
        if again and again[1] in names:
            raise unread(
                f"the column {again[1]} is there twice, once as {name}: the file has several markets, or values and "
                "their repetition; keep one set of columns",
            )
    return found


def doubtful_volumes(names: list[str]) -> list[int]:
    """The places of columns that may be a volume and are none for sure, such as Volume USDT."""
    return [i for i, name in enumerate(names) if "vol" in name or "成交量" in name]


def base_of(symbol: str) -> str:
    """What is traded: btc of BTC/USDT."""
    return re.split(r"[/:_-]", symbol, maxsplit=1)[0].casefold()


def _twice(role: str, names: list[str]) -> Exception:
    if len(set(names)) == 1:
        return unread(f"the column {names[0]} is there twice; a file has the candles of one market")
    return unread(f"the {role} could be {' or '.join(names)}", *(f"--columns {role}={name}" for name in names))
