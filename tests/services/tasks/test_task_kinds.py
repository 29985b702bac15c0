"""Every kind of task can be driven, asked for and refused; what its work needs is there; what breaks it is kept."""

from __future__ import annotations

import ast
import asyncio
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
from services.runtime.test_task_runner import CALL, in_loop, insert, nothing
from tunesmith.cli.daemon.doctor import _MODULES
from tunesmith.config import Settings, Workers
from tunesmith.errors import Internal
from tunesmith.protocol.catalog import MESSAGES
from tunesmith.protocol.task_types import TASK_TYPES
from tunesmith.routes import FEATURES, ROUTES, all_routes
from tunesmith.services.runtime.task_runner import Job, Tasks
from tunesmith.services.tasks.task_kinds import KINDS, follow_up_of
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

STARTS = ["session.generate", *(row.start for row in TASK_TYPES.values() if row.start != "verdict.replay")]
"""All but the one that gives either of two fields, which its handler checks."""


def calls(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """(name of what is called, arguments) of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node.args


@pytest.mark.parametrize("name", TASK_TYPES)
def test_the_record_of_every_kind_says_what_its_row_of_the_protocols_table_says(name: str) -> None:
    kind = KINDS[name]
    assert kind.wire is TASK_TYPES[name]
    assert asyncio.iscoroutinefunction(kind.drive)
    assert {kind.wire.start, kind.wire.status} <= set(kind.all_routes())
    assert issubclass(kind.request, msgspec.Struct)


def test_every_feature_has_its_record_and_none_is_in_two() -> None:
    assert set(KINDS) == set(TASK_TYPES)
    assert {module.KIND.wire.name for module in FEATURES} == set(KINDS)
    prefixes = [row.prefix for row in TASK_TYPES.values()]
    assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]
    of_tasks = [name for kind in KINDS.values() for name in kind.all_routes()]
    assert len(of_tasks) == len(set(of_tasks))
    assert not set(of_tasks) & set(ROUTES)


def test_nothing_follows_on_a_kind_that_no_other_names() -> None:
    assert follow_up_of("optimization") is KINDS["verdict"].follows
    with pytest.raises(Internal, match="no kind of task follows on backtest"):
        follow_up_of("backtest")


def test_every_message_has_a_use_case_and_a_request_that_takes_nothing_unknown() -> None:
    assert set(all_routes()) == set(MESSAGES)
    for name, message in MESSAGES.items():
        assert message.request.__struct_config__.forbid_unknown_fields, name
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"no_such_field": 1}, message.request)


@in_loop
async def test_a_kind_may_limit_what_its_tasks_work(database: Database) -> None:
    async def works_twice(job: Job) -> None:
        await job.run("double", 1)
        job.worked_s = 2.0
        await job.run("double", 1)
        await job.complete(nothing)

    house = Tasks(Settings(workers=Workers(count=1)), database, Inline("workers.doubling"), Recorder())
    house.drivers, house.work_limits = {"quick": works_twice, "any": works_twice}, {"quick": 1.5}
    for kind in house.drivers:
        house.start(await database.write(lambda conn, kind=kind: insert(conn, CALL, kind, kind, None)))
        assert await house.wait(kind, 10.0)
    await house.close()
    errors = [
        row.error and row.error["detail"] for name in ("quick", "any") if (row := await task_table.get(database, name))
    ]
    assert errors[0] == "the task worked longer than its limit of 1.5 s"
    assert errors[1] is None or "limit" not in errors[1]


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
