"""Entry points: what registers a strategy gives one, and what fails says why and harms no other."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tunesmith as ts
from stepped.packages import AVERAGING, install
from tunesmith.compute.strategies.installed import installed, installed_strategy
from tunesmith.errors import Conflict, NotFound


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.cache_clear()
    yield tmp_path
    installed.cache_clear()
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def test_an_installed_strategy_is_had_by_its_id_and_the_hash_of_its_module(folder: Path) -> None:
    install(folder, "averaging_package", AVERAGING)
    strategy = ts.strategy("averaging_v1.0")
    assert strategy.version == "1.0"
    assert strategy.code_hash == hashlib.sha256(AVERAGING.encode()).hexdigest()
    assert installed_strategy("averaging_v1.0", strategy.code_hash) is strategy
    with pytest.raises(Conflict, match="installed with other code"):
        installed_strategy("averaging_v1.0", "0" * 64)
    with pytest.raises(NotFound):
        ts.strategy("averaging_v2.0")


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("import no_such_module_anywhere", None, "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("STRATEGY = 3", None, "type int, not a tunesmith.compute.stepping.Stepped"),
        ("x = 1", None, "AttributeError"),
        ("def f(:", None, "SyntaxError"),
        ("raise SystemExit(3)", None, "SystemExit: 3"),
        (AVERAGING.replace("averaging_v1.0", "grid_v1.2"), None, "'grid_v1.2' is the name of a built-in strategy"),
        (AVERAGING.replace("averaging_v1.0", "twice"), None, "another entry point has a strategy 'twice' too"),
        (
            AVERAGING.replace('Sizing("fraction", "share")', 'Sizing("fraction", "part")'),
            None,
            "names a parameter 'part'",
        ),
    ],
)
def test_one_that_fails_says_why_and_harms_no_other(folder: Path, text: str, value: str | None, reason: str) -> None:
    install(folder, "a_good_package", AVERAGING.replace("averaging_v1.0", "twice"))
    install(folder, "broken_package", text, value)
    found = installed()
    assert list(found.strategies) == ["twice"]
    assert [failure.name for failure in found.failures] == ["broken_package"]
    assert reason in found.failures[0].reason
    with pytest.raises(Conflict, match="broken_package:STRATEGY failed"):
        installed_strategy("another")


def test_listing_them_loads_no_compiler(folder: Path) -> None:
    install(folder, "averaging_package", AVERAGING)
    code = (
        f"import sys\nsys.path.insert(0, {str(folder)!r})\n"
        "from tunesmith.compute.strategies.installed import installed\n"
        "assert list(installed().strategies) == ['averaging_v1.0']\n"
        "assert not {'numba', 'pandas', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
