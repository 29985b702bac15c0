"""The house's own rules: imports go one way, files and functions stay small, every message has its parts."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tunesmith.protocol.catalog import MESSAGES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "service" / "tunesmith"
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "masking": set(),
    "plain_text": set(),
    "errors": {"masking", "plain_text"},
    "config": {"errors", "domain"},
    "telemetry": {"errors", "config", "masking", "plain_text"},
    "domain": {"errors"},
    "protocol": {"errors", "domain", "plain_text"},
    "compute": {"errors", "domain"},
    "notebook": {"errors", "domain", "compute"},
    "storage": {"errors", "domain", "protocol"},
    "workers": {"errors", "config", "telemetry", "domain", "protocol", "compute", "storage"},
    "services": {
        "errors",
        "masking",
        "plain_text",
        "config",
        "telemetry",
        "domain",
        "protocol",
        "compute",
        "storage",
        "workers",
    },
    "transport": {"errors", "config", "telemetry", "domain", "protocol"},
    "client": {"errors", "protocol", "plain_text"},
    "cli": {"errors", "config", "masking", "plain_text", "domain", "protocol", "storage", "transport", "client"},
    "examples": {"errors", "client"},
    "routes": {"errors", "protocol", "services", "transport"},
    "app": {
        "errors",
        "config",
        "masking",
        "telemetry",
        "storage",
        "workers",
        "services",
        "transport",
        "routes",
    },
    "__init__": {"errors", "domain", "compute", "notebook", "client"},
}
"""Room → rooms that it may import; each may import itself."""

ORDER_WITHIN = {
    "compute": "kernels graph indicators language codegen stepping simulation rules strategies measures engines search "
    "analysis decision",
    "compute/search": "pareto stopping selection split objective independent_parts feasible_space samplers problem "
    "search walk_forward",
    "compute/decision": "statistics nulls inputs winner permutation_test segments reported_statistics checks "
    "decision_plan criteria_plan",
    "compute/decision/nulls": "frame counted_search shuffled_ground real_blocks point_table lineage lead remade_search "
    "draw_table null_vectors links link_plan null_plan asked_book symbols_apart",
    "compute/decision/statistics": "permuted_markets record_clock * levels",
    "compute/decision/checks": "check_declaration trial_bootstrap search_permutations counted_searches * "
    "check_registry",
    "domain": "array_types records closed_trades metrics parameters names trading declared thresholds approval market "
    "dimension space criteria search",
    "protocol": "private_files canonical signatures grades envelope messages topics task_types catalog key_files codec "
    "message_schema",
    "storage": "timestamps faults atomic_files private_tree file_lock redis_address cache market sources secrets "
    "sqlite tables",
    "workers": "frames executor fair_queue worker fork_server processes inline local_pool lanes chunks "
    "daemon_pools checkup",
    "workers/chunks": "payloads null_payloads null_requests analysis_payloads chunk_kind chunk_table work_loading "
    "warm_ups market_chunks download_chunks search_chunks backtest_chunks decision_chunks null_chunks "
    "walkforward_chunks analysis_chunks checkup_chunks",
    "services": "runtime requests market tasks strategies backtests searches sessions walkforwards packages verdicts "
    "schedules daemon",
    "transport": "router access zmq http",
    "cli": "lazy_commands range_text tables pictures daemon_connection watching data access decide search daemon guide "
    "demo commands",
}
"""Folder → the rooms and modules in it, in import order: each may import those before it. "*" stands for all that are
not named, such as one module a check: they come there, and none of them imports another."""

MAX_MODULES_IN_A_FOLDER = 20

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_KERNEL_LINES = 120
MAX_PARAMETERS = 7
PARAMETERS_MAY_EXCEED = {
    "notebook": "a contract of names for notebooks, all of them keywords with defaults",
    "cli": "a command's options are its parameters",
}
"""Where more parameters than the guide's are right, and why. Kernels take their arrays one by one as well."""

ANY_KEYWORD = {"domain/records.py": "a record's fields are the keywords of `build`, and msgspec refuses any other"}
"""Where a function takes keywords that it does not name, and why; nowhere else."""

MAY_IMPORT_LATER = {
    "__init__.py": "`import tunesmith` stays light: the package's face loads names on first use",
    "cli/__init__.py": "it must be able to say that the packages of the command line are missing",
    "cli/lazy_commands.py": "a command's module is imported to run it: help and the bots' install need no others",
    "workers/fork_server.py": "the daemon names what the process that workers are forked from loads",
    "cli/daemon/doctor.py": "it looks whether other packages can be imported, and says so where they cannot",
    "workers/chunks/checkup_chunks.py": "it looks the same up in a worker",
    "workers/worker.py": "chunk functions are named, so that the daemon need not load what they compute with",
}
"""Where modules are imported inside functions, and why; nowhere else."""


PRIVATE_NAMES_OF_OTHERS = {
    "compute/kernels/compiling.py": {"_cache": "numba has no public way to go on when the disk takes no kernel"},
    "storage/sqlite/connections.py": {
        "_thread": "aiosqlite's thread must not keep a process alive that wants to end",
        "_execute": "a whole function in the thread, instead of a hop for each statement",
    },
}
"""Names of libraries that they do not promise to keep, and why there is no other way. Nowhere else."""


def room_of(file: Path) -> str:
    part = file.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def name_of(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@cache
def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file, which is read and parsed once for all rules."""
    return tuple(ast.walk(ast.parse(file.read_text())))


def imports_of(file: Path) -> Iterator[tuple[str, int]]:
    for node in nodes_of(file):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tunesmith"):
            if node.module == "tunesmith":
                yield from ((f"tunesmith.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.startswith("tunesmith"))


def place_of(module: str, folder: str) -> str | None:
    """The room or module directly below `folder` that holds `module`; None where it is elsewhere."""
    inside = f"tunesmith.{folder.replace('/', '.')}."
    return module.removeprefix(inside).split(".")[0] if module.startswith(inside) else None


def functions_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in nodes_of(file) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_imports_go_one_way() -> None:
    wrong = []
    for file in FILES:
        room = room_of(file)
        for module, line in imports_of(file):
            target = module.split(".")[1] if "." in module else "__init__"
            if target not in {room, *MAY_IMPORT[room]} and not module.startswith("tunesmith.__version__"):
                wrong.append(f"{name_of(file)}, line {line}: {room} imports {module}")
    assert wrong == [], "\n".join(wrong)


def test_our_own_modules_are_imported_at_the_top() -> None:
    lazy = [
        f"{name_of(file)}, line {node.lineno}: {ast.unparse(node)}"
        for file in FILES
        if name_of(file) not in MAY_IMPORT_LATER
        for function in functions_of(file)
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunesmith"))
        or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"))
    ]
    assert lazy == [], "\n".join(lazy)


def test_files_are_short() -> None:
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in FILES}
    long = [f"{name} has {n_lines} lines" for name, n_lines in lengths.items() if n_lines > MAX_FILE_LINES]
    assert long == [], "\n".join(long)


def faults_of(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[str]:
    """What is too long or takes too much in a function of the file `name`."""
    wordy = any(name == place or name.startswith(f"{place}/") for place in PARAMETERS_MAY_EXCEED)
    kernel = function.name.endswith("_nb")
    n_lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if n_lines > (MAX_KERNEL_LINES if kernel else MAX_FUNCTION_LINES):
        yield f"has {n_lines} lines"
    arguments = function.args
    n_parameters = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
    n_parameters -= bool(arguments.args and arguments.args[0].arg in ("self", "cls"))
    if n_parameters > MAX_PARAMETERS and not kernel and not wordy:
        yield f"takes {n_parameters} parameters"
    passes_on = arguments.kwarg is not None and ast.unparse(arguments.kwarg.annotation or ast.Constant(0)) == "P.kwargs"
    if arguments.kwarg and not passes_on and not function.name.startswith("_") and name not in ANY_KEYWORD:
        yield "takes any keyword"


def test_functions_are_short_and_take_few_parameters() -> None:
    wrong = [
        f"{name_of(file)}, line {function.lineno}: {function.name} {fault}"
        for file in FILES
        for function in functions_of(file)
        for fault in faults_of(function, name_of(file))
    ]
    assert wrong == [], "\n".join(wrong)


def test_every_file_says_what_it_is() -> None:
    silent = []
    for file in FILES:
        module = nodes_of(file)[0]
        assert isinstance(module, ast.Module)
        if file.read_text() != "" and not ast.get_docstring(module):
            silent.append(name_of(file))
    assert silent == [], "\n".join(silent)


@pytest.mark.parametrize("folder", ORDER_WITHIN)
def test_imports_go_one_way_within_a_folder(folder: str) -> None:
    named = ORDER_WITHIN[folder].split()
    there = {path.stem for path in (PACKAGE / folder).iterdir() if path.name != "__init__.py" and _is_module(path)}
    others = there - set(named)
    assert there == {*named, *others} - {"*"}
    assert not others or "*" in named
    place = {name: i for i, name in enumerate(named)} | {name: named.index("*") for name in others}
    wrong = []
    for file in sorted((PACKAGE / folder).rglob("*.py")):
        own = file.relative_to(PACKAGE / folder).with_suffix("").parts[0]
        for module, line in imports_of(file):
            target = place_of(module, folder)
            alike = own in others and target in others
            if own != "__init__" and target not in (None, own) and (alike or place[str(target)] > place[own]):
                wrong.append(f"{name_of(file)}, line {line}: {own} imports {target}")
    assert wrong == [], "\n".join(wrong)


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def test_no_folder_is_crowded() -> None:
    counts = Counter(file.parent.relative_to(PACKAGE) for file in FILES if file.name != "__init__.py")
    assert {str(folder): n for folder, n in counts.items() if n > MAX_MODULES_IN_A_FOLDER} == {}


def test_no_module_name_is_used_for_two_things() -> None:
    counts = Counter(file.stem for file in FILES if file.stem != "__init__")
    assert [name for name, n in counts.items() if n > 1] == []


@cache
def private_names_in(file: Path) -> tuple[dict[str, int], set[str]]:
    """The names with a leading underscore that a file uses as attributes, each with a line, and those it defines."""
    used: dict[str, int] = {}
    defined = set()
    for node in nodes_of(file):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                defined.add(name)
            case ast.Attribute(attr=name, lineno=line):
                used[name] = line
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                defined.add(name)
    public = {"_asdict", "_replace", "_fields", "_exit"}
    return {name: line for name, line in used.items() if re.match(r"_[a-z]", name) and name not in public}, defined


def test_private_names_of_libraries_are_listed_with_a_reason() -> None:
    unlisted, listed = [], set()
    for file in FILES:
        used, defined = private_names_in(file)
        for module, _ in imports_of(file):
            theirs = (ROOT / "service" / Path(*module.split("."))).with_suffix(".py")
            if theirs.exists():
                defined = defined | private_names_in(theirs)[1]
        foreign = {name: line for name, line in used.items() if name not in defined}
        named = PRIVATE_NAMES_OF_OTHERS.get(name_of(file), {})
        unlisted += [f"{name_of(file)}, line {line}: {name}" for name, line in foreign.items() if name not in named]
        listed |= {(name_of(file), name) for name in foreign if name in named}
    assert unlisted == [], "\n".join(unlisted)
    assert listed == {(file, name) for file, names in PRIVATE_NAMES_OF_OTHERS.items() for name in names}


def test_there_is_no_import_cycle() -> None:
    modules = {f"tunesmith.{'.'.join(file.relative_to(PACKAGE).with_suffix('').parts)}": file for file in FILES}
    graph = {name: {m for m, _ in imports_of(file) if m in modules and m != name} for name, file in modules.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path, name])
        if name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", ["utils", "common", "base", "helpers", "manager", "core"])
def test_no_room_is_named_after_nothing(name: str) -> None:
    assert [file for file in FILES if name in (file.stem, file.parent.name)] == []


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_every_message_type_has_a_documented_request_and_a_reply(message: object) -> None:
    kind, request, reply, changes, role = message  # type: ignore[misc]
    assert request.__doc__
    assert not request.__doc__.startswith(f"{request.__name__}(")
    assert reply.__struct_fields__
    assert isinstance(changes, bool)
    assert role in ("bot", "operator")
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)?", kind)


def test_no_file_names_a_package_index_or_a_path_of_one_machine() -> None:
    hosts = re.compile(r"https?://[\w.-]*(?:pypi|pythonhosted|npmjs|deb\.debian)[\w./-]*|/(?:home|root)/\w+")
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".json", ".js", ".sql", ""}
    found = []
    for folder in ("service", "tests", "configs", "docker", ".ci"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and file.suffix in suffixes and "__pycache__" not in file.parts:
                found += [f"{file.relative_to(ROOT)}: {m}" for m in hosts.findall(file.read_text("utf-8"))]
    assert found == [], "\n".join(found)
