"""The disk is full under a working daemon: what is refused, what goes on, and that it mends by itself."""

from __future__ import annotations

import json
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from journeys.conftest import import_markets
from journeys.daemon import DaemonProcess, Dealer, wait_until
from journeys.small_disk import SmallDisk, small_disk
from tunesmith.errors import Internal
from tunesmith.storage.market.market_folder import MarketFolder
from tunesmith.storage.sqlite import backups

RULE = "n = Int(5, 2, 100)\nenter_long(close > sma(close, n))\nexit_long(close < sma(close, n))\n"
SEARCH = {
    "symbol": "BTC/USDT",
    "strategy_id": "ma_cross_v1.0",
    "param_ranges": {"fast_period": {"min": 2, "max": 20}, "slow_period": {"min": 61, "max": 100, "step": 2}},
    "method": "grid",
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk"), 48) as made:
        yield made


@pytest.fixture(scope="module")
def own_daemon(disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    import_markets(disk.folder)
    made = DaemonProcess(disk.folder, {"TUNESMITH_WORKERS__COUNT": "1", "TUNESMITH_WORKERS__CHUNK_TRIALS": "50"})
    made.log_file = tmp_path_factory.mktemp("log") / "daemon.log"
    made.start()
    yield made
    assert made.stop() == 0, made.log()[-3000:]


def get(daemon: DaemonProcess, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{daemon.doors['http']}{path}", timeout=90) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def reasons(daemon: DaemonProcess) -> str:
    return " ".join(json.loads(get(daemon, "/readyz")[1])["reasons"])


def create(dealer: Dealer, name: str) -> dict[str, Any]:
    """A strategy with a comment that fills pages; the same request whenever it is sent again."""
    code = RULE + "# " + "x" * 60_000 + "\n"
    data = {"id": name, "name": name, "version": "1.0", "code": code}
    return dealer.ask("strategy.create", data, id=f"create-{name}")


def drafts(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*.tmp*")]


def test_a_full_disk_refuses_changes_answers_reads_and_mends_by_itself(
    own_daemon: DaemonProcess, disk: SmallDisk, context: zmq.Context[Any]
) -> None:
    wait_until(lambda: not reasons(own_daemon), 60.0, lambda: reasons(own_daemon))
    with Dealer(context, own_daemon.doors["requests"]) as dealer:
        acknowledged = ["before"]
        assert create(dealer, "before")["ok"]
        search = dealer.data("optimization.start", SEARCH)["optimization_id"]
        refused = fill_until_refused(dealer, disk, acknowledged)
        reads_go_on(own_daemon, dealer, acknowledged)
        other_files_are_whole_or_absent(own_daemon, dealer, disk)

        disk.free()
        wait_until(lambda: not reasons(own_daemon), 60.0, lambda: reasons(own_daemon))
        assert create(dealer, refused)["ok"]
        acknowledged.append(refused)
        found = dealer.until_done("optimization.status", {"optimization_id": search})
        assert (found["status"], found["n_done"]) == ("completed", found["n_trials"])
        listed = {one["id"] for one in dealer.data("strategy.list", {"limit": 500})["strategies"]}
        assert set(acknowledged) <= listed
    with closing(sqlite3.connect(f"file:{disk.folder}/tunesmith.db?mode=ro", uri=True)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def fill_until_refused(dealer: Dealer, disk: SmallDisk, acknowledged: list[str]) -> str:
    """The first strategy that was refused; those before it were acknowledged."""
    for i in range(200):
        disk.fill()
        name = f"full-{i}"
        reply = create(dealer, name)
        if not reply["ok"]:
            error = reply["error"]
            assert (error["code"], error["retryable"]) == ("internal", True), error
            assert re.search("disk is full|disk refused", error["detail"])
            assert error["retry_after_ms"] > 0
            return name
        acknowledged.append(name)
    raise AssertionError("nothing was refused")


def reads_go_on(daemon: DaemonProcess, dealer: Dealer, acknowledged: list[str]) -> None:
    assert dealer.data("ping", {})["version"]
    assert {one["id"] for one in dealer.data("strategy.list", {"limit": 500})["strategies"]} >= set(acknowledged)
    wait_until(lambda: re.search("takes no (more )?writes", reasons(daemon)) is not None, 90.0, lambda: reasons(daemon))
    assert get(daemon, "/livez")[0] == 200
    assert get(daemon, "/readyz")[0] == 503
    wait_until(lambda: measured(daemon, "disk_free_bytes") < 2**20, 90.0, lambda: get(daemon, "/metrics")[1])
    wait_until(lambda: measured(daemon, "database_failures_total") >= 1, 90.0, lambda: get(daemon, "/metrics")[1])
    metrics = get(daemon, "/metrics")[1]
    assert "tunesmith_ready 0.0" in metrics
    alerts = (Path(__file__).resolve().parents[3] / "configs" / "alerts.yaml").read_text()
    asked = {name.removesuffix("_bucket") for name in re.findall(r"\btunesmith_\w+", alerts)}
    assert {name for name in asked if f"# TYPE {name} " not in metrics} == set()


def measured(daemon: DaemonProcess, name: str) -> float:
    """A metric's value, as of the last look, at most some seconds ago."""
    [value] = re.findall(rf"^tunesmith_{name} (\S+)$", get(daemon, "/metrics")[1], re.MULTILINE)
    return float(value)


def other_files_are_whole_or_absent(daemon: DaemonProcess, dealer: Dealer, disk: SmallDisk) -> None:
    disk.fill()
    before = {path for path in (disk.folder / "market").rglob("*") if path.is_file() and path.name != ".lock"}
    bars = [[3_600_000 * i, 1.0, 1.0, 1.0, 1.0, 1.0] for i in range(500)]
    with pytest.raises(Internal, match="was not stored"):
        MarketFolder(disk.folder / "market").import_rows(bars, symbol="NEW/USDT", timeframe="1h")  # type: ignore[arg-type]
    reply = dealer.ask("optimization.start", {**SEARCH, "symbol": "PLANTED/USDT"})
    assert not reply["ok"]
    assert reply["error"]["retryable"], reply
    with pytest.raises(Internal):
        backups.make(disk.folder / "tunesmith.db", disk.folder / "backups", "asked", keep=1)
    after = {path for path in (disk.folder / "market").rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before
    assert drafts(disk.folder) == []
