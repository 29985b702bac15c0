"""`tunesmith backup` and `tunesmith restore`: copies of the database, and the way back to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.cli.daemon_connection import AsJson, Config, DataDir, settings_in_force
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import show_table
from tunesmith.config import Settings
from tunesmith.errors import NotFound
from tunesmith.storage.faults import Damaged
from tunesmith.storage.sqlite import backups, restoring
from tunesmith.storage.sqlite.backups import Backup

app = new_app()

_MB = 2**20


@app.command()
def backup(
    listing: Annotated[bool, typer.Option("--list", help="List the backups there are, and make none.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a backup of the database now, whether the daemon runs or not.

    The copy is checked before it counts. It holds everything but the market data's files, which can be imported again,
    and the keys. The daemon makes backups by itself, see the section [backups] of the settings.
    """
    settings = settings_in_force(config, data_dir).settings
    folder = settings.backups_dir
    if listing:
        _show(backups.listing(folder), folder, as_json=as_json)
        return
    database = _database(settings)
    if not database.exists():
        raise NotFound(f"there is no database in {settings.data_dir} yet")
    made = backups.make(database, folder, "asked", keep=settings.backups.keep)
    if as_json:
        _print_json(_told(made))
    else:
        typer.echo(f"{made.path}\n{made.size / _MB:.1f} MB, checked.")


@app.command()
def restore(
    file: Annotated[Path | None, typer.Argument(help="A backup; the newest sound one when left out.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the database's place. The daemon must be stopped.

    What stood there is kept in a folder beside it. What happened after the backup was made is forgotten, looks at
    hold-outs too; bots notice that the database is another one, and take what it says is in force.
    """
    settings = settings_in_force(config, data_dir).settings
    chosen = file or _newest_sound(settings.backups_dir)
    done = restoring.restore(_database(settings), chosen)
    if as_json:
        told = {name: str(value) if isinstance(value, Path) else value for name, value in done._asdict().items()}
        _print_json(told)
        return
    typer.echo(f"Restored from {done.backup}: up to event {done.head}, schema version {done.schema}.")
    if done.replaced is not None:
        typer.echo(f"What stood there is in {done.replaced}")
    typer.echo("Start the daemon with `tunesmith serve`.")


def _database(settings: Settings) -> Path:
    return settings.data_dir / "tunesmith.db"


def _newest_sound(folder: Path) -> Path:
    wrong = []
    for found in reversed(backups.listing(folder)):
        try:
            backups.examine(found.path)
        except Damaged as error:
            wrong.append(error.message)
            typer.echo(f"passed over: {error.message}", err=True)
        else:
            return found.path
    raise NotFound(f"there is no {'sound ' if wrong else ''}backup in {folder}; name a file")


def _told(found: Backup) -> dict[str, str | int]:
    return {"file": str(found.path), "made_at": found.made_at, "why": found.why, "bytes": found.size}


def _show(found: list[Backup], folder: Path, *, as_json: bool) -> None:
    if as_json:
        _print_json([_told(one) for one in found])
    elif not found:
        typer.echo(f"There are no backups in {folder}.")
    else:
        rows = [(one.path.name, one.made_at, one.why, f"{one.size / _MB:.1f} MB") for one in reversed(found)]
        show_table(("file", "made", "why", "size"), rows)
        typer.echo(f"in {folder}")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))
