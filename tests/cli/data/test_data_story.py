"""Candles by the command line: what cannot be read says what would, and what is stored can be seen and removed."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

from cli.command import read, run, said
from domain.market.layouts.layout_samples import DAYS, EARLY, HOURS, csv, form, frame, plain

LONG = "币安人生/USDT:USDT-" + "X" * 46


def test_what_cannot_be_read_is_read_by_the_command_that_is_named(tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data")
    names = ("--symbol", "^GSPC", "--timeframe", "1d")
    file = tmp_path / "us days.csv"
    file.write_bytes(plain(EARLY, form("%m/%d/%Y"), "Date,Open,High,Low,Close,Volume"))
    refused = run("data", "import", file, *names, *where)
    assert refused.returncode == 1
    assert "Its first rows:" in refused.stderr
    assert "01/01/2024 | 100.0 |" in refused.stderr
    assert re.search(r"Volume +numbers, 1\.\d+e\+06 to", refused.stderr)
    joined = refused.stderr.replace("\\\n", " ")
    commands = [shlex.split(line) for line in joined.splitlines() if line.strip().startswith("tunesmith data import")]
    assert [command[-1] for command in commands] == ["%d/%m/%Y", "%m/%d/%Y"]
    imported = read(*commands[1][1:], *where)["imported"]
    assert [(each["symbol"], each["start"][:10], each["end"][:10]) for each in imported] == [
        ("^GSPC", "2024-01-01", "2024-01-09")
    ]


def test_a_folder_names_its_venue_and_a_market_can_be_seen_and_removed(tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data")
    folder = tmp_path / "kraken"
    (folder / "futures").mkdir(parents=True)
    frame(HOURS).to_feather(folder / "XBT_EUR_d-1h.feather")
    frame(HOURS).to_feather(folder / "futures" / "BTC_USDT_USDT-1h-futures.feather")
    frame(DAYS).to_feather(folder / "BRK_B_USD-1d.feather")
    (folder / "BRK_B_USD-1d.json").write_text(json.dumps([[c.ms, *c[1:]] for c in DAYS]))
    (folder / "pairs.json").write_text("{}")
    done = run("data", "import", folder, *where)
    assert done.returncode == 0, done.stderr
    told = said(done)
    assert "skipped BRK_B_USD-1d.json: BRK_B_USD-1d.feather has the same market" in told
    assert "skipped pairs.json: the name does not say symbol and timeframe" in told
    gap = [c for i, c in enumerate(HOURS) if i not in (4, 5)]
    named = tmp_path / "ETH_USDT-1h.csv"
    named.write_bytes(csv(["time", "open", "high", "low", "close"], [(c.ms, *c[1:5]) for c in gap]))
    assert "look: there is no column of the volume" in said(run("data", "import", named, *where))
    read("data", "import", named, "--symbol", LONG, "--timeframe", "1h", *where)

    listed = run("data", "list", *where).stdout
    rows = {tuple(line.split()[:3]) for line in listed.splitlines() if line[0] != " "}
    assert rows >= {
        ("kraken", "XBT/EUR.d", "1h"),
        ("kraken", "BTC/USDT:USDT", "1h"),
        ("kraken", "BRK.B/USD", "1d"),
        ("local", "ETH/USDT", "1h"),
        ("local", LONG, "1h"),
    }
    assert listed.count("2024-01-20 to 2024-01-22, held out from not yet") == 4

    shown = said(run("data", "show", "ETH/USDT", *where))
    assert "gaps: 1 gap: 2 missing from 2024-01-20T04:00:00.000Z" in shown
    assert "0 searches, 0 looks at the hold-out" in shown
    asked = run("data", "remove", LONG, *where)
    assert (asked.returncode, "say --yes" in said(asked)) == (2, True)
    removed = read("data", "remove", LONG, "--yes", *where)
    assert (removed["timeframes"], removed["n_bars"]) == (["1h"], len(gap))
    short = run("data", "list", *where).stdout
    assert re.search(r"kraken +BTC/USDT:USDT +1h +60 +2024-01-20 +2024-01-22 +not yet +0", short)
    assert LONG not in short
    acts = (tmp_path / "data" / "acts.jsonl").read_text()
    assert json.loads(acts.splitlines()[-1])["act"] == "data.remove"


def test_a_bar_that_is_open_is_left_out_where_somebody_says_so(tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data")
    hour = int(time.time()) // 3600 * 3600
    file = tmp_path / "BTC_USDT-1h.csv"
    rows = [(hour - 3600 * (len(HOURS) - 1 - i), *c[1:]) for i, c in enumerate(HOURS)]
    file.write_bytes(csv(["time", "open", "high", "low", "close", "volume"], rows))
    refused = run("data", "import", file, *where)
    assert (refused.returncode, "it is not final" in said(refused)) == (1, True)
    assert read("data", "import", file, "--drop-open", *where)["imported"][0]["n_bars"] == len(HOURS) - 1
