"""How many files one message goes through: `optimization.start` with `approve`, from the socket to the package.

    python tests/benchmarks/message_way.py [--package CHECKOUT] [--runs 5] [--files]

A daemon runs in a process whose calls a profile hook records, and those of the workers that it forks. A bot asks on a
DEALER socket for a search of a market with a planted edge, with the verdict on it; the way ends with the last call that
is handed the topic of the approved package before it arrives at a SUB socket. The search is a grid of 190 points with
one worker, and each kind of work of the verdict is one chunk, so that no number of chunks multiplies a figure.

Only calls of the product's functions count, and a change of file is two consecutive calls of one thread in different
files. What the daemon does of itself does not count: it is watched for 3 s before the request, and each asyncio task
that is at work then is left out, with all that it starts later; so is what timers call. Heartbeats, backups and HTTP
are off. Each run is a new daemon on a new folder, after one run that is not traced, which compiles the kernels; the
figures are medians of the runs, with the least and the most changes.

With `--package` the same is traced in another checkout, in turns with this one, and printed beside it. `--files` lists
the files by the changes that lead to them, and the most frequent changes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.call_trace import Call, Way, changes, hooked, read_calls, way  # noqa: E402

SYMBOL, TOPIC = "PLANTED/USDT", "pkg/PLANTED/USDT/"
LEFT_OUT = "compute"
HEADING = "files  changes (least–most)  pairs  calls"
N_PAIRS = 30


class Run(NamedTuple):
    """The calls of one way: the daemon's, and its workers'."""

    daemon: list[Call]
    workers: list[Call]


Select = Callable[[Run], list[Call]]


def of_room(room: str) -> Select:
    """The daemon's calls in one room."""
    return lambda run: [call for call in run.daemon if call.room == room]


def all_rooms(run: Run) -> list[Call]:
    """The daemon's calls in all rooms but `compute`."""
    return [call for call in run.daemon if call.room != LEFT_OUT]


def at_workers(run: Run) -> list[Call]:
    """The workers' calls in all rooms but `compute`."""
    return [call for call in run.workers if call.room != LEFT_OUT]


def package_of(checkout: Path) -> Path:
    """The package's folder in a checkout."""
    for folder in (checkout / "service" / "tunesmith", checkout / "tunesmith"):
        if (folder / "app.py").is_file():
            return folder.resolve()
    raise SystemExit(f"{checkout} holds no service/tunesmith: name the root of a checkout")


def walk(package: Path, folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Send one message through a daemon of this package; its process id and the span of time."""
    command = [sys.executable, "-m", "benchmarks.traced_daemon", SYMBOL, str(folder / "data")]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the daemon of {package} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def warm_up(package: Path) -> None:
    """The same without a hook, under which compiling takes minutes."""
    with tempfile.TemporaryDirectory() as name:
        path = os.pathsep.join((str(ROOT / "tests"), str(package.parent)))
        walk(package, Path(name), {**os.environ, "PYTHONPATH": path})


def trace(package: Path) -> Run:
    """The calls of one message through a daemon of this package."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = walk(package, folder, hooked(folder, package, TOPIC))
        calls = read_calls(folder)
    began, arrived = said["span"]
    calls = [call for call in calls if began <= call.at_ns <= arrived and not call.background]
    of_daemon = f"{said['pid']} "
    published = [call.at_ns for call in calls if call.watched and call.thread.startswith(of_daemon)]
    if not published:
        raise SystemExit(f"no call in {package} was handed the topic {TOPIC}: the end of the way is not known")
    calls = [call for call in calls if call.at_ns <= published[-1]]
    daemon = [call for call in calls if call.thread.startswith(of_daemon)]
    return Run(daemon, [call for call in calls if not call.thread.startswith(of_daemon)])


def cell(runs: Sequence[Run], select: Select) -> str:
    """The figures of some calls, over the runs."""
    ways = [way(select(run)) for run in runs]
    middle = Way(*(round(statistics.median(column)) for column in zip(*ways, strict=True)))
    span = f"({min(each.changes for each in ways)}–{max(each.changes for each in ways)})"
    return f"{middle.files:5}{middle.changes:9} {span:>12}{middle.pairs:7}{middle.calls:7}"


def show(named: Mapping[str, Sequence[Run]]) -> None:
    """Print the table: rooms down, checkouts across."""
    rooms = sorted({call.room for runs in named.values() for run in runs for call in run.daemon})
    rows = {room: of_room(room) for room in rooms}
    rows |= {f"daemon, all but {LEFT_OUT}": all_rooms, f"workers, all but {LEFT_OUT}": at_workers}
    width = len(HEADING) + 4
    print(f"{'':24}" + "".join(f"{name[-width + 4 :]:>{width}}" for name in named))
    print(f"{'':24}" + f"{HEADING:>{width}}" * len(named))
    for row, select in rows.items():
        print(f"{row:24}" + "".join(f"{cell(runs, select):>{width}}" for runs in named.values()))


def show_files(name: str, calls: Sequence[Call]) -> None:
    """Print each file with the changes that lead to it and its calls, then the most frequent changes."""
    found = Counter(changes(calls))
    entered = Counter(call.file for call in calls)
    into: Counter[str] = Counter()
    for (_, after), n in found.items():
        into[after] += n
    print(f"\n{name}: changes to a file, calls in it")
    for file in sorted(entered, key=lambda file: -into[file]):
        print(f"{into[file]:7}{entered[file]:7}  {file}")
    print(f"\n{name}: the most frequent changes")
    for (before, after), n in found.most_common(N_PAIRS):
        print(f"{n:7}  {before} → {after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, action="append", default=[], metavar="CHECKOUT")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", action="store_true")
    given = parser.parse_args()
    packages = {str(checkout): package_of(checkout) for checkout in given.package} | {"this one": package_of(ROOT)}
    runs: dict[str, list[Run]] = {name: [] for name in packages}
    for package in packages.values():
        warm_up(package)
    for _ in range(given.runs):
        for name, package in packages.items():
            runs[name].append(trace(package))
    show(runs)
    if given.files:
        for name, made in runs.items():
            show_files(f"{name}, daemon", all_rooms(made[-1]))
            show_files(f"{name}, workers", at_workers(made[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
