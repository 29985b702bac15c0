"""Generated kernels: nothing of the user's text in them, compiled once on a machine, safe for processes at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from reference.random_rules import random_bars
from tunesmith.compute.kernels import generated_kernels
from tunesmith.compute.kernels.generated_kernels import is_compiled, kernel_name, load_kernel
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.rules.strategy import Strategy

CODE = """n = Int(5, 2, 50)
enter_long(crossed_above(close * 1.0625, sma(close, n)) and volume > 3.125)
stop_loss(close - 2 * atr(n))
"""
WORK = f"""
import sys, time
import numpy as np
from tunesmith.compute.rules.binding import bind
from tunesmith.compute.kernels.generated_kernels import is_compiled
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.market.bars import Bars
strategy = Strategy.parse({CODE!r})
was_there = is_compiled(strategy.plan.source)
close = 100 + np.arange(64.0) % 7
bars = Bars.from_arrays(np.arange(64) * 3_600_000, dict.fromkeys(("open", "high", "low", "close", "volume"), close),
                        symbol="T/U", timeframe="1h")
bound = bind(strategy, bars, np.array([[3.0]]))
start = time.process_time()
signals = bound.signals(0, 1)
print(was_there, int(signals.enter_long.sum()), time.process_time() - start)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TUNESMITH_KERNEL_CACHE": str(folder)}
    return subprocess.Popen([sys.executable, "-c", WORK], env=environment, stdout=subprocess.PIPE, text=True)


def test_processes_that_compile_at_once_agree_and_the_next_one_finds_it_done(tmp_path: Path) -> None:
    together = [start(tmp_path) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0].split() for process in together]
    assert all(process.returncode == 0 for process in together)
    last = start(tmp_path)
    was_there, count, took_s = last.communicate(timeout=120)[0].split()
    assert last.returncode == 0
    assert was_there == "True"
    assert {answer[1] for answer in answers} == {count}
    assert float(took_s) < min(float(answer[2]) for answer in answers)
    kernels = list(tmp_path.rglob("tunesmith_kernel_*.py"))
    assert [path.stem for path in kernels] == [kernel_name(Strategy.parse(CODE).plan.source)]
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_kernel_is_compiled_from_numbers_alone() -> None:
    code = CODE.replace("n = Int", '"""os.system and friends"""\nmalice = Choice("evil", ["evil", "good"])\nn = Int')
    code += 'exit_long(malice == "evil" and close < open)\n'
    source = Strategy.parse(code).plan.source
    for word in ("os.system", "malice", "evil", "volume", "close"):
        assert word not in source
    body = source.split("at = point - lo")[1]
    assert re.fullmatch(r"[\s0-9a-z_\[\]()+\-*/%<>=&|~!.,:]*", body)


def test_the_oldest_kernels_are_removed_when_there_are_too_many(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TUNESMITH_KERNEL_CACHE", str(tmp_path))
    monkeypatch.setattr(generated_kernels, "MAX_KEPT", 10)
    sources = [Strategy.parse(CODE.replace("3.125", f"{i}.0625")).plan.source for i in range(12)]
    for source in sources[:10]:
        load_kernel(source)
    assert len(list(tmp_path.rglob("tunesmith_kernel_*.py"))) == 10
    load_kernel(sources[10])
    left = {path.stem for path in tmp_path.rglob("tunesmith_kernel_*.py")}
    assert len(left) == 9
    assert kernel_name(sources[10]) in left
    assert kernel_name(sources[0]) not in left


def test_a_file_that_was_changed_is_written_anew(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TUNESMITH_KERNEL_CACHE", str(tmp_path))
    source = Strategy.parse(CODE.replace("3.125", "3.25")).plan.source
    assert not is_compiled(source)
    load_kernel(source)
    (path,) = tmp_path.rglob(f"{kernel_name(source)}.py")
    assert path.read_text() == source
    other = Strategy.parse(CODE.replace("3.125", "3.375"))
    target = path.with_name(f"{kernel_name(other.plan.source)}.py")
    target.write_text("raise SystemExit\n")
    bound = bind(other, random_bars(60, 1), np.array([[3.0]]))
    assert bound.signals(0, 1).enter_long is not None
    assert target.read_text() == other.plan.source
