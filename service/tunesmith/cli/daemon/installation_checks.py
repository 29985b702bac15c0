"""What `tunesmith doctor` looks at on this machine, without the daemon's packages."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from tunesmith.cli.daemon.config_commands import masked
from tunesmith.cli.daemon_connection import key_file, reachable
from tunesmith.client import Client
from tunesmith.config import Settings
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Internal, Invalid, TunesmithError, Unauthorized
from tunesmith.storage.market.series import read_manifest
from tunesmith.storage.private_tree import open_to_others
from tunesmith.storage.redis_address import split
from tunesmith.storage.sqlite.backups import listing
from tunesmith.storage.sqlite.migrating import APPLICATION_ID, migrations
from tunesmith.storage.timestamps import milliseconds

_MIN_PYTHON = (3, 11)
_MIN_FREE, _LOW_FREE = 200 * 2**20, 2 * 2**30
_CHECKED_BYTES = 512 * 2**20
_NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
_RESTORE = "stop the daemon and run `tunesmith restore`; `tunesmith backup --list` shows what there is"


class Check(NamedTuple):
    """One finding. `note` needs no action; `broken` has in `advice` what to do."""

    name: str
    verdict: Literal["ok", "note", "broken"]
    says: str
    advice: str | None = None


def check_python() -> Check:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _MIN_PYTHON:
        return Check("python", "broken", version, "install Python 3.11 or newer and make a new environment with it")
    return Check("python", "ok", f"{version}, {sys.executable}")


def check_data_dir(folder: Path) -> Check:
    """The data directory, or the folder in which it will be made: writable, with room."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = f"{folder}: {there} is not writable ({error.strerror})"
        return Check("data directory", "broken", reason, "make it writable, or choose another one with --data-dir")
    free = shutil.disk_usage(there).free
    says = f"{folder}{'' if folder.exists() else ' (made at the first start)'}, {free / 2**30:.1f} GiB free"
    if free < _MIN_FREE:
        return Check("data directory", "broken", says, "free some disk space; SQLite cannot write without")
    if free < _LOW_FREE:
        return Check("data directory", "note", f"{says}, which is little")
    return Check("data directory", "ok", says)


def check_privacy(folder: Path) -> Check:
    """Whether what the daemon keeps is its owner's alone."""
    found = [folder] if folder.exists() and folder.stat().st_mode & 0o077 else []
    found += open_to_others(folder)
    if not found:
        return Check("privacy", "ok", f"nobody else may read what is in {folder}")
    told = ", ".join(str(path) for path in found[:3]) + (" and others" if len(found) > 3 else "")
    return Check(
        "privacy", "note", f"{len(found)} files or folders are open to others: {told}", f"chmod -R go= {folder}"
    )


def check_database(file: Path, doors: JsonObject, kept: Path | None = None) -> Check:
    """The database opens, is ours, of a schema that this program knows, and sound; `kept` is the backups' folder."""
    if not file.exists() and kept is not None and listing(kept):
        return Check("database", "broken", f"{file} is gone, but there are backups", _RESTORE)
    if file.exists() and not file.stat().st_size:
        return Check("database", "broken", f"{file} is empty", _RESTORE)
    if not file.exists():
        return Check("database", "note", "none yet; the daemon makes it at its first start")
    size = file.stat().st_size
    try:
        conn = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            owner = conn.execute("PRAGMA application_id").fetchone()[0]
            version = conn.execute("PRAGMA user_version").fetchone()[0]
            found = [] if size > _CHECKED_BYTES else [r[0] for r in conn.execute("PRAGMA quick_check(3)")]
        finally:
            conn.close()
    except sqlite3.Error as error:
        return Check("database", "broken", f"{file}: {error}", _RESTORE)
    wrong = [text for text in found if text != "ok"]
    newest = len(migrations())
    if owner != APPLICATION_ID:
        return Check("database", "broken", f"{file} is another program's", "choose another data directory")
    if version > newest:
        says = f"schema version {version}; this program knows {newest}"
        return Check("database", "broken", says, "upgrade Tunesmith, or restore the backup made before the upgrade")
    if wrong:
        says = f"{file} is damaged: {wrong[0]}"
        return Check("database", "broken", says, _RESTORE)
    used = f", in use by process {doors['pid']}" if doors else ""
    sound = "sound" if found else "too large to check here"
    return Check("database", "ok", f"{sound}, schema version {version}, {size / 2**20:.1f} MiB{used}")


def check_daemon(doors: JsonObject, settings: Settings) -> Check:
    """Whether the daemon on the data directory runs and answers."""
    if not doors:
        return Check("daemon", "note", "not running here; start it with `tunesmith serve`")
    began = time.monotonic()
    requests = reachable(doors["requests"])
    try:
        client = Client(requests, deadline_s=5.0, key=key_file(settings, requests, doors))
    except Invalid as error:
        return Check(
            "daemon", "broken", error.message, "name a key file by TUNESMITH_KEY; `tunesmith keys new` makes one"
        )
    try:
        pong = client.ping()
    except Unauthorized as error:
        return Check("daemon", "broken", error.message, "use another key, or start the daemon again after `keys init`")
    except TunesmithError as error:
        says = f"process {doors['pid']} runs but does not answer at {doors['requests']}: {error.message}"
        return Check("daemon", "broken", says, "read its log; stop the process and start `tunesmith serve` again")
    finally:
        client.close()
    took_ms = (time.monotonic() - began) * 1000
    return Check("daemon", "ok", f"version {pong.version}, process {doors['pid']}, answers in {took_ms:.0f} ms")


def check_readiness(doors: JsonObject) -> Check:
    """What the running daemon says of its database, disk, workers and backups."""
    if not doors.get("http"):
        return Check("readiness", "note", "no daemon with an HTTP door runs here")
    try:
        with urlopen(f"http://{doors['http']}/readyz", timeout=5.0) as reply:
            told = json.loads(reply.read())
    except HTTPError as error:
        with error:
            told = json.loads(error.read())
    except (OSError, ValueError) as error:
        return Check("readiness", "broken", f"/readyz does not answer: {error}", "read the daemon's log")
    if told["reasons"]:
        return Check(
            "readiness", "broken", "; ".join(told["reasons"]), "see the daemon's log; it goes on by itself when it can"
        )
    if told["degraded"]:
        return Check("readiness", "note", "; ".join(told["degraded"]))
    return Check("readiness", "ok", "ready")


def check_backups(settings: Settings) -> Check:
    """There are backups, and the newest is not too old."""
    folder, every_h = settings.backups_dir, settings.backups.every_h
    found = listing(folder)
    if not found:
        return Check("backups", "note", f"none yet in {folder}; `tunesmith backup` makes one")
    age_h = (time.time() * 1000 - milliseconds(found[-1].made_at)) / 3_600_000
    says = f"{len(found)} in {folder}, the newest of {found[-1].made_at}"
    if every_h and age_h > 2 * every_h:
        return Check("backups", "broken", f"{says}, which is old", "see the daemon's log, and `tunesmith backup` now")
    return Check("backups", "ok", says)


def check_ports(settings: Settings, doors: JsonObject) -> Iterator[Check]:
    """Every door's port is free, or held by our daemon."""
    for door in ("requests", "events", "inbox", "http"):
        address: str = getattr(settings.server, door)
        if not address:
            yield Check(f"port {door}", "note", "none is configured")
            continue
        if doors:
            yield Check(f"port {door}", "ok", f"{doors.get(door) or 'none'}, held by our daemon")
            continue
        yield _check_port(door, address)


def check_redis(settings: Settings) -> Check:
    """Redis answers, where one is configured."""
    url = str(getattr(getattr(settings, "cache", None), "redis_url", "") or "")
    if not url:
        return Check("redis", "note", "none is configured; answers are kept in process")
    shown = masked("redis_url", url)
    try:
        import redis

        address, password = split(url)
        client = redis.Redis.from_url(
            address, socket_timeout=1.0, socket_connect_timeout=1.0, credential_provider=password
        )
        client.ping()
        client.close()
    except ImportError:
        return Check("redis", "broken", "the package redis is missing", "pip install 'tunesmith[service]'")
    except (redis.RedisError, ValueError, OSError) as error:
        says = f"{shown} does not answer ({error}); the daemon works without, slower"
        return Check("redis", "broken", says, "start it, or correct cache.redis_url; empty is none")
    return Check("redis", "ok", f"{shown} answers")


def check_market(folder: Path) -> Check:
    """Market data is there, and every manifest can be read and has its candles."""
    series, wrong = [], []
    for manifest in sorted(folder.glob("*/*/*.json")):
        try:
            found = read_manifest(manifest)
            series.append(found)
            if not (manifest.parent / found.file).is_file():
                wrong.append(f"{found.symbol} {found.timeframe}: the candles are missing")
        except (Internal, OSError) as error:
            wrong.append(str(error))
    if wrong:
        advice = "import the series again: tunesmith data import FILE --replace"
        return Check("market data", "broken", "; ".join(wrong[:3]), advice)
    if not series:
        advice = "none yet; `tunesmith data import FILE --symbol S --timeframe T` adds some"
        return Check("market data", "note", advice)
    n_bars = sum(s.n_bars for s in series)
    n_markets = len({(s.venue, s.symbol) for s in series})
    of = "one market" if n_markets == 1 else f"{n_markets} markets"
    return Check("market data", "ok", f"{n_bars:,} bars in {len(series)} series of {of}")


def check_strategies(found: list[str], failures: list[dict[str, str]]) -> Check:
    """The strategies that are installed under the entry point group tunesmith.strategies."""
    if failures:
        says = "; ".join(f"{failure['value']} fails to load: {failure['reason']}" for failure in failures)
        return Check("strategies", "broken", says, "correct or uninstall the package; the daemon works without it")
    says = f"{len(found)} installed: {', '.join(found)}" if found else "none is installed beside the built-in ones"
    return Check("strategies", "ok" if found else "note", says)


def check_clock() -> Check:
    """The clock is not behind what is certain."""
    now = datetime.now(UTC)
    says = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < _NOT_BEFORE:
        return Check("clock", "broken", f"{says} is in the past", "set the clock (NTP); packages expire by it")
    return Check("clock", "ok", says)


def _check_port(door: str, address: str) -> Check:
    host, port = _host_port(address)
    if host is None:
        return Check(f"port {door}", "ok", address)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        advice = f"stop the program that has it, or choose another: tunesmith serve --{door} ADDR"
        return Check(f"port {door}", "broken", f"{address}: {os.strerror(error.errno or 0)}", advice)
    return Check(f"port {door}", "ok", f"{address} is free")


def _host_port(address: str) -> tuple[str | None, int]:
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme != "tcp":
        return None, 0
    try:
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        return None, 0
    return ("" if host == "*" else host), port
