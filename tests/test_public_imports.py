"""The imports that users' own code makes, which go on working wherever a module moves inside the package."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

import tunesmith

PUBLIC = {
    "tunesmith": "AsyncClient Bars Client Costs Strategy TunesmithError __version__ analyze backtest evaluate judge "
    "optimize strategy",
    "tunesmith.client": "AsyncClient Client GRADES PackageEvent",
    "tunesmith.compute.stepping": "Account Bar Orders Sizing Stepped enter_long enter_short hold leave",
    "tunesmith.domain.parameters": "Parameter",
}
"""Module → the names that notebooks, bots and operators' strategies import from it."""

EXAMPLES = ("bot_client", "bot_plain", "freqtrade_ma_cross", "freqtrade_params")


@pytest.mark.parametrize(("module", "names"), PUBLIC.items())
def test_every_public_name_is_there(module: str, names: str) -> None:
    found = importlib.import_module(module)
    for name in names.split():
        assert getattr(found, name) is not None
    if hasattr(found, "__all__"):
        assert sorted(found.__all__) == names.split(), "a name that is added or taken away is a decision: enter it here"


def test_the_face_lists_what_it_has_and_no_more() -> None:
    assert set(PUBLIC["tunesmith"].split()) == set(dir(tunesmith))
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = tunesmith.nothing


def test_the_examples_are_where_the_guide_says() -> None:
    for name in EXAMPLES:
        assert importlib.util.find_spec(f"tunesmith.examples.{name}") is not None


def test_a_bots_import_loads_nothing_of_the_service() -> None:
    code = (
        "import sys, tunesmith\n"
        "from tunesmith.client import AsyncClient, Client, PackageEvent\n"
        "assert tunesmith.Client is Client\n"
        "loaded = {'numpy', 'pandas', 'numba', 'structlog', 'uvicorn', 'tunesmith.compute', 'tunesmith.services'}\n"
        "assert not loaded & set(sys.modules), loaded & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_operators_strategy_needs_two_modules() -> None:
    code = (
        "from tunesmith.compute.stepping import Sizing, Stepped, enter_long, hold, leave\n"
        "from tunesmith.domain.parameters import Parameter\n"
        "def step(state, account, bar, point):\n"
        "    return leave() if bar.close > point[0] else enter_long()\n"
        "drop = Parameter(name='top', kind='float', default=9.0, low=1.0, high=99.0)\n"
        "made = Stepped(id='a', version='1.0', step=step, parameters=(drop,), sizing=Sizing('fraction', 0.5))\n"
        "assert made.parameters == (drop,) and hold().weight == 0.0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
