"""Every kind of task can be driven, asked for and refused; what its work needs is there; what breaks it is kept."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tunesmith
from services.recorder import Recorder
from services.runtime.test_task_runner import CALL, in_loop
from tunesmith.cli.daemon.doctor import _MODULES
from tunesmith.config import Settings, Workers
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.routes import DRIVERS, ROUTES
from tunesmith.services.runtime.task_runner import Job, Tasks
from tunesmith.services.tasks.task_requests import insert
from tunesmith.storage.sqlite.database import Database
from tunesmith.storage.tables import task_table
from tunesmith.workers import checkup
from tunesmith.workers.chunks.chunk_table import CHUNKS
from tunesmith.workers.inline import Inline

PACKAGE = Path(tunesmith.__file__).parent
SERVICES = sorted((PACKAGE / "services").rglob("*.py"))
OPTIONAL = {"optuna": "optuna", "scikit-learn": "sklearn", "deap": "deap", "scipy": "scipy", "vectorbt": "vectorbt"}
"""Distributions that only some methods or reports need, and what they are imported as."""

OWN_LOOPS = {"app.py", "workers/checkup.py"}
"""Programs of their own, which begin a loop where there is none."""

STARTS = ["backtest.start", "optimization.start", "session.generate", "session.execute", "strategy.approve"]


def kinds() -> dict[str, str]:
    """Kind of task → the module that says so."""
    found = {}
    for file in SERVICES:
        for match in re.finditer(r'^KIND = "(\w+)"$', file.read_text(), re.MULTILINE):
            assert match[1] not in found, f"two modules have the kind {match[1]}"
            found[match[1]] = "tunesmith." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    return found


def calls(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """(name of what is called, arguments) of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node.args


def test_every_kind_of_task_has_a_driver_and_every_driver_a_kind() -> None:
    assert set(kinds()) == set(DRIVERS)
    for kind, module in kinds().items():
        assert kind == importlib.import_module(module).KIND
        assert asyncio.iscoroutinefunction(DRIVERS[kind])


def test_every_message_has_a_use_case_and_a_request_that_takes_nothing_unknown() -> None:
    assert set(ROUTES) == set(MESSAGES)
    for name, message in MESSAGES.items():
        assert message.request.__struct_config__.forbid_unknown_fields, name
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"no_such_field": 1}, message.request)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("wrong", [None, [], 3, {}, {"symbol": 5}, {"strategy_id": None}, {"session_id": ["s"]}])
def test_what_starts_a_task_is_validated_before_it_is_stored(name: str, wrong: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(wrong), type=MESSAGES[name].request)


def test_every_chunk_that_is_asked_for_is_in_the_workers_table() -> None:
    asked: set[str] = set()
    for file in SERVICES:
        for name, arguments in calls(ast.parse(file.read_text())):
            first = arguments[0] if arguments else None
            if name in ("run", "timed", "Chunk") and isinstance(first, ast.Constant) and isinstance(first.value, str):
                asked.add(first.value)
    assert {"prepare", "search", "propose", "backtest", "judge", "probe", "front"} <= asked
    assert asked <= {*CHUNKS, "look"}


def test_no_loop_is_begun_within_a_loop() -> None:
    wrong = {"run_until_complete", "new_event_loop", "set_event_loop", "Runner", "run_coroutine_threadsafe"}
    for room in ("services", "storage", "compute", "transport", "domain", "app.py"):
        for file in [PACKAGE / room] if room.endswith(".py") else sorted((PACKAGE / room).rglob("*.py")):
            place = file.relative_to(PACKAGE).as_posix()
            text = file.read_text()
            assert not {name for name, _ in calls(ast.parse(text))} & wrong, place
            assert ("asyncio.run(" in text) == (place in OWN_LOOPS), place


def test_what_methods_need_is_declared_and_looked_for_by_the_doctor() -> None:
    text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text()
    declared = tomllib.loads(text)["project"]["optional-dependencies"]["service"]
    names = {re.split(r"[\[<>=]", each)[0] for each in declared}
    assert set(OPTIONAL) <= names
    assert {_MODULES.get(name, name.replace("-", "_")) for name in OPTIONAL} == set(OPTIONAL.values())


def test_a_worker_itself_says_what_it_can_import() -> None:
    """Not the process that asks: what is there need not be there where the work is done."""
    found = asyncio.run(checkup.check([*OPTIONAL.values(), "no_such_module_anywhere"]))
    assert "failure" not in found, found
    packages = found["packages"]
    assert packages.pop("no_such_module_anywhere")["error"].startswith("ModuleNotFoundError")
    assert {name: about["error"] for name, about in packages.items()} == dict.fromkeys(OPTIONAL.values())
    assert all(packages[name]["version"] for name in ("optuna", "sklearn", "scipy"))
    assert found["kernels"]["seconds"] >= 0


@in_loop
async def test_what_breaks_a_task_is_kept_with_where_it_broke(database: Database) -> None:
    async def chunk_breaks(job: Job) -> None:
        await job.run("fail", "s3cret")

    async def driver_breaks(job: Job) -> None:
        raise KeyError("s3cret")

    executor = Inline("workers.pool_chunks")
    house = Tasks(Settings(workers=Workers(count=1)), database, executor, Recorder())
    house.drivers = {"chunk": chunk_breaks, "driver": driver_breaks}
    for kind in house.drivers:
        house.start(await database.write(lambda conn, kind=kind: insert(conn, CALL, kind, kind, None)))
    for kind in house.drivers:
        assert await house.wait(kind, 10.0)
    await house.close()
    for kind in house.drivers:
        row = await task_table.get(database, kind)
        assert row is not None
        assert row.error is not None
        assert (row.status, row.error["code"]) == ("failed", "internal")
        assert "s3cret" not in row.error["detail"]
        [line] = [line for line in await task_table.logs(database, kind) if "Traceback" in line.message]
        assert line.level == "error"
        assert "KeyError: 's3cret'" in line.message
        assert 'File "' in line.message


def test_no_module_of_a_method_is_loaded_by_the_daemon_itself() -> None:
    """The daemon counts trials and drives; what is large and slow to load is imported in workers."""
    code = "import sys, tunesmith.app; print(sorted({m.split('.')[0] for m in sys.modules}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("optuna", "sklearn", "vectorbt", "pandas", "pyarrow"):
        assert f"'{name}'" not in told, name
