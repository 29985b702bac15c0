"""`tunesmith schedules` against a running daemon: added, listed, shown, replaced and deleted, in eighty columns."""

from __future__ import annotations

from pathlib import Path

from cli.command import read, run, said

SEARCH = ("PLANTED/USDT", "ma_cross_v1.0", "-r", "fast_period=2:6:2", "-r", "slow_period=20", "--min-sharpe", "0.8")


def test_a_schedule_is_added_shown_listed_replaced_and_deleted(folder: Path) -> None:
    where = ("--data-dir", folder)
    assert "tunesmith schedules add" in said(run("schedules", "list", *where))
    added = run("schedules", "add", "weekly", *SEARCH, "--cron", "0 3 * * 1", *where)
    assert added.returncode == 0, added.stderr
    assert "PLANTED/USDT, ma_cross_v1.0" in said(added)
    shown = said(run("schedules", "show", "weekly", *where))
    trading = "every side that its rule enters, fee 0.001 of an order, slippage 0, start capital 10,000"
    for words in (
        trading,
        "cron 0 3 * * 1",
        "fast_period=2:6:2; slow_period=20",
        "min_sharpe 0.8",
        "last run none yet",
    ):
        assert words in shown, shown
    [stored] = read("schedules", "list", *where)["schedules"]
    assert stored == read("schedules", "show", "weekly", *where)
    assert (stored["search"]["approve"]["min_sharpe"], stored["search"]["approve"]["accept_old_data"]) == (0.8, False)
    again = read("schedules", "add", "weekly", *SEARCH, "--every", "12h", "--accept-old-data", *where)
    assert again["search"]["approve"]["accept_old_data"]
    assert "old candles are accepted" in said(run("schedules", "show", "weekly", *where))
    assert (again["every"], again["cron"]) == ("12h", None)
    listed = run("schedules", "list", *where).stdout
    assert "every 12h" in listed
    assert "weekly" in listed
    assert "is deleted" in said(run("schedules", "delete", "weekly", *where))
    assert read("schedules", "list", *where) == {"schedules": []}


def test_what_cannot_be_scheduled_is_said(folder: Path) -> None:
    for arguments, words in (
        (("add", "x", *SEARCH), "give either --every or --cron"),
        (("add", "x", *SEARCH, "--every", "1d", "--cron", "0 3 * * 1"), "give either --every or --cron"),
        (("add", "x", *SEARCH, "--cron", "61 3 * * 1"), "no cron expression"),
        (("add", "x", "NOWHERE/USDT", "ma_cross_v1.0", "--every", "1d"), "there is no market data for"),
        (("show", "nothing"), "there is no schedule 'nothing'"),
        (("delete", "nothing"), "there is no schedule 'nothing'"),
    ):
        done = run("schedules", *arguments, "--data-dir", folder)
        assert done.returncode != 0
        assert words in said(done), said(done)


def test_a_market_is_listed_with_where_its_holdout_begins(folder: Path) -> None:
    read("optimize", *SEARCH[:6], "--method", "random", "--iterations", "2", "--data-dir", folder)
    stored = {each["symbol"]: each["withheld_from"] for each in read("data", "list", "--data-dir", folder)}
    assert stored["PLANTED/USDT"] is not None
    assert stored["PLANTED/USDT"][:10] in run("data", "list", "--data-dir", folder).stdout
