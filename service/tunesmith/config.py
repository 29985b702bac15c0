"""Settings: frozen, typed, from a TOML file and the environment; unknown keys are refused.

Precedence, lowest first: the defaults below, the file, `TUNESMITH_SECTION__NAME` variables, the command line.
`configs/default.toml` lists every setting with its unit and default; a test holds it against these classes.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from tunesmith.domain.thresholds import Thresholds
from tunesmith.errors import Invalid

PREFIX = "TUNESMITH_"
FILE = "TUNESMITH_CONFIG"
WORKERS_PER_CORE = 4
"""Each takes some 150 MB: hundreds that a message asks for would take the machine's memory."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section."""


class Server(_Section, frozen=True, kw_only=True):
    """Where the daemon listens and keeps its files."""

    data_dir: str = "~/.local/share/tunesmith"
    market: str = ""
    requests: str = "tcp://127.0.0.1:5555"
    events: str = "tcp://127.0.0.1:5556"
    inbox: str = "tcp://127.0.0.1:5557"
    http: str = "127.0.0.1:8080"
    insecure_bind: bool = False
    instance: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "default"
    drain_timeout_s: Positive = 10.0
    clock_grace_s: Annotated[float, msgspec.Meta(ge=0.0)] = 600.0


class Limits(_Section, frozen=True, kw_only=True):
    """What one request, one user and all together may take."""

    max_body_bytes: Count = 1_048_576
    max_message_bytes: Count = 4_194_304
    max_frames: Count = 4
    in_flight_per_user: Count = 32
    in_flight_total: Count = 1024
    tasks_per_user: Count = 1000
    verdicts_per_market: Count = 3
    strategy_changes_per_minute: Count = 600
    grid_points: Count = 1_000_000
    search_budget_s: Positive = 3_600.0
    session_budget_s: Positive = 86_400.0
    default_deadline_ms: Count = 5_000


class Workers(_Section, frozen=True, kw_only=True):
    """The pool that computes. `count` 0 means one per core; `niceness` is how far it gives way to other processes."""

    count: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    memory_mb: Count = 4096
    task_timeout_s: Positive = 3600.0
    trial_timeout_s: Positive = 60.0
    chunk_trials: Count = 2000
    attempts: Count = 3
    loaded_rules: Count = 200
    niceness: Annotated[int, msgspec.Meta(ge=0, le=19)] = 5


class Events(_Section, frozen=True, kw_only=True):
    """The events door."""

    heartbeat_s: Positive = 1.0
    resend_ms: Count = 20
    high_water_mark: Count = 100_000


class Security(_Section, frozen=True, kw_only=True):
    """Who may come in. `keys_dir` empty means keys/ in the data directory; `curve` auto means on where it has keys."""

    keys_dir: str = ""
    curve: Literal["auto", "on", "off"] = "auto"


class Decision(_Section, frozen=True, kw_only=True):
    """The hold-out and the default approval criteria (fractions; Sharpe a year)."""

    holdout_share: Annotated[float, msgspec.Meta(gt=0.0, lt=0.9)] = 0.3
    min_bars: Count = 50
    min_sharpe: float = 0.5
    max_drawdown: Share = 0.35
    min_return: float = 0.0
    min_trades: Annotated[int, msgspec.Meta(ge=0)] = 10
    min_win_rate: Share = 0.0
    min_profit_factor: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0


class Cache(_Section, frozen=True, kw_only=True):
    """Where computed answers are kept: in process, and in Redis at `redis_url` where there is one."""

    redis_url: str = ""
    ttl_s: Positive = 604_800.0
    max_mb: Count = 64


class Retention(_Section, frozen=True, kw_only=True):
    """How long what only helps to go on is kept, in days."""

    snapshot_days: Count = 1
    reply_days: Count = 30


class Backups(_Section, frozen=True, kw_only=True):
    """Copies of the database: how often (0: never by schedule), how many of each kind, and where."""

    every_h: Annotated[float, msgspec.Meta(ge=0.0)] = 24.0
    keep: Count = 5
    folder: str = ""


class Sources(_Section, frozen=True, kw_only=True):
    """Where bars that are not stored are asked for; nowhere when `upstream` is empty."""

    upstream: str = ""
    insecure_upstream: bool = False
    timeout_s: Positive = 10.0


class Schedules(_Section, frozen=True, kw_only=True):
    """Searches that are made again and again: a JSON file with a list of `schedule.create` requests; empty for none."""

    file: str = ""


class Log(_Section, frozen=True, kw_only=True):
    """`format` auto means human on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "human"] = "auto"


class Settings(_Section, frozen=True, kw_only=True):
    """All settings of a daemon."""

    server: Server = Server()
    limits: Limits = Limits()
    workers: Workers = Workers()
    events: Events = Events()
    security: Security = Security()
    decision: Decision = Decision()
    statistics: Thresholds = Thresholds()
    cache: Cache = Cache()
    sources: Sources = Sources()
    retention: Retention = Retention()
    backups: Backups = Backups()
    schedules: Schedules = Schedules()
    log: Log = Log()

    @property
    def data_dir(self) -> Path:
        """The data directory with `~` expanded."""
        return Path(self.server.data_dir).expanduser()

    @property
    def market(self) -> str:
        """Where the candles are: the setting, or a folder in the data directory."""
        return self.server.market or str(self.data_dir / "market")

    @property
    def keys_dir(self) -> Path:
        """The folder of the keys with `~` expanded."""
        return Path(self.security.keys_dir).expanduser() if self.security.keys_dir else self.data_dir / "keys"

    @property
    def backups_dir(self) -> Path:
        """Where backups are: the setting, or a folder in the data directory."""
        return Path(self.backups.folder).expanduser() if self.backups.folder else self.data_dir / "backups"

    @property
    def n_workers(self) -> int:
        """Number of worker processes: the setting, or one per usable core."""
        return self.workers.count or len(os.sched_getaffinity(0))

    @property
    def most_workers(self) -> int:
        """Number of worker processes that a message may ask for: the setting, or `WORKERS_PER_CORE` a usable core."""
        return max(self.n_workers, WORKERS_PER_CORE * len(os.sched_getaffinity(0)))


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> Settings:
    """Settings from `file`, `environ` (default: the process's) and `overrides` ("section.name" → value, None skipped).

    Without `file`, the environment's TUNESMITH_CONFIG may name one.

    Raises `Invalid`, naming the setting and the nearest right name, for unknown keys and values out of bounds.
    """
    return explain(file, environ, overrides).settings


class Explained(NamedTuple):
    """Settings, and where each comes from: "section.name" → file, environment or option; what is absent is default."""

    settings: Settings
    sources: dict[str, str]
    file: Path | None


def explain(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> Explained:
    """As `load`, with the source of every setting that is not the default."""
    tree: dict[str, Any] = {}
    environ = os.environ if environ is None else environ
    if file is None and environ.get(FILE):
        file = Path(environ[FILE])
    if file is not None:
        try:
            tree = tomllib.loads(file.read_text("utf-8-sig"))
        except OSError as error:
            raise Invalid(f"cannot read the configuration file {file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"{file} is not TOML: {error}") from error
    sources = {f"{section}.{name}": "file" for section, table in tree.items() for name in _names(table)}
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and "__" in variable:
            section, _, name = variable.removeprefix(PREFIX).lower().partition("__")
            _put(tree, section, name, text)
            sources[f"{section}.{name}"] = "environment"
    for key, value in (overrides or {}).items():
        if value is not None:
            section, _, name = key.partition(".")
            _put(tree, section, name, value)
            sources[key] = "option"
    _refuse_unknown(tree)
    try:
        return Explained(msgspec.convert(tree, Settings, strict=False), sources, file)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        raise Invalid(f"setting {where.strip('`$.') or '?'}: {what}") from error


def _names(table: Any) -> Iterable[str]:
    return table if isinstance(table, dict) else ()


def _put(tree: dict[str, Any], section: str, name: str, value: str) -> None:
    table = tree.setdefault(section, {})
    if not isinstance(table, dict):
        raise Invalid(f"setting {section} must be a table")
    table[name] = value


def _refuse_unknown(tree: Mapping[str, Any]) -> None:
    for section, table in tree.items():
        _refuse_name(section, Settings.__struct_fields__, "section")
        if not isinstance(table, dict):
            raise Invalid(f"setting {section} must be a table")
        known = type(getattr(Settings(), section)).__struct_fields__
        for name in table:
            _refuse_name(name, known, f"setting in [{section}]", section)


def _refuse_name(name: str, known: tuple[str, ...], what: str, section: str = "") -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        prefix = f"{section}." if section else ""
        raise Invalid(f"unknown {what}: {prefix}{name}; {hint}")
