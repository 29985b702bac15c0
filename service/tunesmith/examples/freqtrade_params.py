"""Hands approved parameters to a freqtrade strategy, through the parameter file that freqtrade reads beside it.

python -m tunesmith.examples.freqtrade_params STRATEGY_FILE --symbol BTC/USDT --timeframe 1h \
    --strategy ma_cross_v1.0 --grade tested

writes STRATEGY_FILE's name with .json, atomically, for every package that comes into force; the sections that are not
the package's (roi, stoploss, trailing, max_open_trades, …) stay as they are in the file. Where the strategy has the
parameter `package_in_force`, it is true with a package and false when it was revoked, has expired, or was superseded,
also when the daemon is away as the package's time ends, or goes before it can say whether another one stands.
freqtrade reads the file when it starts and on `reload_config`; --run names a command to call after each change.

    {"strategy_name": "…", "params": {"buy": {"fast_period": 4, …}, "sell": {…}, "roi": {…}, …},
     "ft_stratparam_v": 1, "export_time": "…"}

The strategy's own source says which parameters it has: `fast_period = IntParameter(…, space="buy")`, or a name that
begins with the space, `buy_fast_period = IntParameter(…)`.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.client import GRADES, Client
from tunesmith.errors import TunesmithError

IN_FORCE = "package_in_force"
SPACES = ("buy", "sell", "protection")
_LONGEST_S = threading.TIMEOUT_MAX


class Target(NamedTuple):
    """A freqtrade strategy: its class, and (space, attribute) of each parameter by the name that packages use."""

    file: Path
    class_name: str
    parameters: dict[str, tuple[str, str]]


def read_strategy(file: Path) -> Target:
    """What a strategy's source declares, without running it. Raises `ValueError` where it is no strategy."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("IStrategy") for base in node.bases):
            return Target(file, node.name, dict(filter(None, map(_parameter, node.body))))
    raise ValueError(f"{file} has no class that is an IStrategy")


def compose(target: Target, before: Mapping[str, Any], params: Mapping[str, Any], *, trade: bool) -> dict[str, Any]:
    """The parameter file: `params` over what was there `before`. Raises `ValueError` for a name that has no place."""
    missing = [name for name in params if name not in target.parameters]
    if missing:
        raise ValueError(f"{target.class_name} has no parameter {', '.join(missing)}")
    old = before.get("params", {}) if before.get("strategy_name") == target.class_name else {}
    sections = {section: dict(values) for section, values in old.items()}
    values = dict(params)
    if IN_FORCE in target.parameters:
        values[IN_FORCE] = trade
    for name, value in values.items():
        space, attribute = target.parameters[name]
        sections.setdefault(space, {})[attribute] = value
    return {
        "strategy_name": target.class_name,
        "params": sections,
        "ft_stratparam_v": 1,
        "export_time": str(datetime.now(UTC)),
    }


def write(target: Target, package: Mapping[str, Any] | None) -> Path:
    """Bring the parameter file up to the package in force, in one step: freqtrade sees the old file or the new one."""
    file = target.file.with_suffix(".json")
    before = json.loads(file.read_text("utf-8")) if file.exists() else {}
    params = {} if package is None else package["params"]
    text = json.dumps(compose(target, before, params, trade=package is not None), indent=2)
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}-", suffix=".draft")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return file


def main(arguments: list[str] | None = None) -> int:
    """Follow packages and keep the file up to them, until Ctrl-C or --count changes."""
    parser = argparse.ArgumentParser(prog="python -m tunesmith.examples.freqtrade_params", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, help="the strategy's file")
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--timeframe", required=True)
    parser.add_argument("--strategy", required=True, help="the strategy's id in the daemon")
    lowest = "; ".join(f"{grade}: {meaning}" for grade, meaning in GRADES.items())
    lowest = f"the lowest grade to trade on, those after it are taken too. {lowest}"
    parser.add_argument("--grade", action="append", required=True, choices=GRADES, help=lowest)
    parser.add_argument("--requests", default="tcp://127.0.0.1:5555")
    parser.add_argument("--events", default="tcp://127.0.0.1:5556")
    parser.add_argument("--trusted", help="file of the public keys, one of which must have signed a package")
    parser.add_argument("--run", help="a command to call after each change, such as a reload of freqtrade")
    parser.add_argument("--count", type=int, help="end after so many changes")
    options = parser.parse_args(arguments)
    try:
        target = read_strategy(options.file)
    except (OSError, SyntaxError, ValueError) as error:
        print(f"freqtrade_params: {error}", file=sys.stderr)  # noqa: T201
        return 1
    wanted = (options.symbol, options.timeframe, options.strategy)
    grades = tuple(options.grade)
    keeper, n_changes = Keeper(target, options.run), 0
    with Client(options.requests, options.events, name="freqtrade", trusted=options.trusted) as client:
        for event in client.package_events(*wanted, grades=grades):
            try:
                # another venue's may stand, whatever the last event was about
                package = event.package or next(iter(client.packages_in_force(*wanted, grades=grades)), None)
            except TunesmithError as error:
                print(f"freqtrade_params: {error.message}; without a package meanwhile", file=sys.stderr)  # noqa: T201
                package = None
            if keeper.keep(package, f"{event.kind} {event.package_id[:12]}"):
                n_changes += 1
            if n_changes == options.count:
                break
    keeper.stop()
    return 0


class Keeper:
    """Keeps the file up to a package, and takes it out when its time is over, whether the daemon is there or not."""

    def __init__(self, target: Target, command: str | None) -> None:
        self._target = target
        self._command = shlex.split(command or "")
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def keep(self, package: Mapping[str, Any] | None, why: str) -> bool:
        """Write the package, or that there is none; False where the strategy has no place for it."""
        with self._lock:
            self.stop()
            try:
                file = write(self._target, package)
            except ValueError as error:
                print(f"freqtrade_params: {error}; nothing was written", file=sys.stderr)  # noqa: T201
                return False
            if package is not None:
                left_s = (datetime.fromisoformat(package["valid_until"]) - datetime.now(UTC)).total_seconds()
                ends = f"ended {package['package_id'][:12]}"
                self._timer = threading.Timer(min(max(0.0, left_s), _LONGEST_S), self.keep, (None, ends))
                self._timer.daemon = True
                self._timer.start()
            print(f"{why}: {file}", flush=True)  # noqa: T201
            if self._command:
                subprocess.run(self._command, check=False)  # noqa: S603 - the operator's own command
            return True

    def stop(self) -> None:
        """Write nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _parameter(node: ast.stmt) -> tuple[str, tuple[str, str]] | None:
    """(name in packages, (space, attribute)) of `attribute = …Parameter(…)` in a class body."""
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
        return None
    attribute = ast.unparse(node.targets[0])
    if not ast.unparse(node.value.func).endswith("Parameter"):
        return None
    spaces = [k.value.value for k in node.value.keywords if k.arg == "space" and isinstance(k.value, ast.Constant)]
    prefix, _, rest = attribute.partition("_")
    space = str(spaces[0]) if spaces else prefix
    return (rest if prefix in SPACES else attribute), (space, attribute)


if __name__ == "__main__":
    sys.exit(main())
