"""`tunesmith doctor`: every part of an installation, with a verdict and what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tunesmith.cli import FAILED
from tunesmith.cli.daemon.installation_checks import (
    Check,
    check_backups,
    check_clock,
    check_daemon,
    check_data_dir,
    check_database,
    check_market,
    check_ports,
    check_privacy,
    check_python,
    check_readiness,
    check_redis,
    check_strategies,
)
from tunesmith.cli.daemon.key_checks import check_keys, check_signing
from tunesmith.cli.daemon_connection import AsJson, Config, DataDir, running_doors
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import make_console
from tunesmith.config import explain
from tunesmith.domain.records import JsonObject
from tunesmith.errors import Invalid

app = new_app()

_MODULES = {"pyzmq": "zmq", "scikit-learn": "sklearn", "prometheus-client": "prometheus_client", "vectorbt": "vectorbt"}
_RUST = "vectorbt_rust"
_WORKER_TIMEOUT_S = 240.0
_INSTALL = "pip install 'tunesmith[service]'"


@app.command()
def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the worker process, which takes seconds.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check Python, packages (in a worker process too), settings, files, ports, data, kernels; say what to do.

    Takes some seconds. The exit code is 1 when something is broken.
    """
    found = []
    for check in _checks(config, data_dir, quick=quick):
        found.append(check)
        if not as_json:
            _show(check)
    broken = [check for check in found if check.verdict == "broken"]
    if as_json:
        typer.echo(json.dumps({"ok": not broken, "checks": [check._asdict() for check in found]}, indent=2))
    else:
        typer.echo(f"\n{len(broken)} of {len(found)} checks found something broken." if broken else "\nAll is well.")
    if broken:
        raise typer.Exit(FAILED)


def _checks(config: Path | None, data_dir: Path | None, *, quick: bool) -> Iterator[Check]:
    yield check_python()
    packages = _required()
    service = importlib.util.find_spec("numba") is not None or importlib.util.find_spec("aiosqlite") is not None
    if service:
        yield _check_packages(packages)
        if not quick:
            yield from _check_worker(packages)
    else:
        yield Check("packages", "note", f"the bots' client alone; the daemon needs: {_INSTALL}")
    try:
        explained = explain(config, overrides={"server.data_dir": None if data_dir is None else str(data_dir)})
    except Invalid as error:
        yield Check("settings", "broken", error.message, "correct it; `tunesmith config show` shows what is in force")
        return
    settings = explained.settings
    yield Check("settings", "ok", f"{explained.file or 'defaults and environment'}")
    folder = settings.data_dir
    doors = running_doors(folder)
    yield check_data_dir(folder)
    yield check_privacy(folder)
    yield check_database(folder / "tunesmith.db", doors, settings.backups_dir)
    yield check_backups(settings)
    yield check_daemon(doors, settings)
    yield check_readiness(doors)
    yield from check_ports(settings, doors)
    yield check_redis(settings)
    yield check_market(Path(settings.market).expanduser())
    yield check_keys(settings)
    yield check_signing(settings)
    yield check_clock()


def _required() -> list[str]:
    """The modules of every package that the daemon needs, from this distribution's own metadata."""
    modules = []
    for requirement in importlib.metadata.requires("tunesmith") or ():
        name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
        needed = "extra" not in requirement or re.search(r"extra == ['\"](cli|service)['\"]", requirement)
        if needed and name != "tunesmith":
            modules.append(_MODULES.get(name, name.replace("-", "_")))
    return list(dict.fromkeys(modules))


def _check_packages(modules: list[str]) -> Check:
    wrong = []
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a broken package raises is the finding
            wrong.append(f"{name} ({type(error).__name__}: {error})")
    if wrong:
        return Check("packages", "broken", f"cannot be imported: {'; '.join(wrong)}", _INSTALL)
    return Check("packages", "ok", f"all {len(modules)} can be imported")


def _check_worker(modules: list[str]) -> Iterator[Check]:
    """The same in a worker process that is started as the daemon starts its own."""
    command = [sys.executable, "-m", "tunesmith.workers.checkup", *modules, _RUST]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WORKER_TIMEOUT_S, check=False)
        found: JsonObject = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        found = {"failure": "it could not be started"}
        if "done" in locals() and done.stderr.strip():
            found["failure"] = done.stderr.strip().splitlines()[-1]
    if "failure" in found:
        says = f"no worker process could be started: {found['failure'].strip().splitlines()[-1]}"
        yield Check("worker", "broken", says, f"{_INSTALL}, then `tunesmith doctor` again")
        return
    packages = found["packages"]
    rust = packages.pop(_RUST)
    wrong = [f"{name} ({about['error']})" for name, about in packages.items() if about["error"]]
    if wrong:
        yield Check("worker", "broken", f"cannot be imported in a worker process: {'; '.join(wrong)}", _INSTALL)
    else:
        n = len(packages)
        yield Check("worker", "ok", f"ready in {found['ready_s']:.1f} s, all {n} packages can be imported there too")
    yield _about_vectorbt(packages["vectorbt"], rust)
    yield _about_kernels(found["kernels"])
    yield check_strategies(found["strategies"], found["failures"])


def _about_vectorbt(vectorbt: JsonObject, rust: JsonObject) -> Check:
    if vectorbt["error"]:
        return Check("vectorbt", "broken", vectorbt["error"], _INSTALL)
    if rust["error"]:
        says = f"{vectorbt['version']}, without its rust engine: a worker's first report takes half a minute"
        return Check("vectorbt", "note", says)
    return Check("vectorbt", "ok", f"{vectorbt['version']}, with its rust engine {rust['version']}".rstrip())


def _about_kernels(kernels: JsonObject) -> Check:
    state = "cold" if kernels["n_compiled"] else "warm"
    more = f", {kernels['n_compiled']} compiled now" if kernels["n_compiled"] else ""
    says = f"{state}{more}; warm-up took {kernels['seconds']:.1f} s; cache in {kernels['folder']}"
    return Check("kernels", "ok", says)


def _show(check: Check) -> None:
    console = make_console()
    head = f"{check.verdict:<7} {check.name:<15} "
    text = f"{check.says}\n{'-> ' + check.advice if check.advice else ''}".rstrip()
    style = {"ok": "green", "note": "dim", "broken": "bold red"}[check.verdict]
    for i, line in enumerate(Text(text).wrap(console, max(20, console.width - len(head)))):
        lead = Text(head, style=style) if i == 0 else Text(" " * len(head))
        line.rstrip()
        console.print(lead + line)
