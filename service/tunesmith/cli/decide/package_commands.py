"""`tunesmith packages`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from tunesmith.cli.daemon_connection import Line, talks
from tunesmith.cli.lazy_commands import new_app
from tunesmith.cli.tables import fill_text, metric, moment, number, params, show_facts, show_table
from tunesmith.errors import Invalid, NotFound

app = new_app()

_SHORT_ID, _FULL_ID = 12, 64
_PAGE = 1000
_SHOWN = ("sharpe", "total_return", "max_drawdown", "n_trades", "win_rate", "profit_factor")

PackageId = Annotated[str, typer.Argument(help="The package's id, or its beginning.", metavar="ID")]


@app.command("list")
@talks
def list_(
    line: Line,
    symbol: Annotated[str | None, typer.Option(help="Of this market.", metavar="SYMBOL")] = None,
    strategy: Annotated[str | None, typer.Option(help="Of this strategy.", metavar="STRATEGY")] = None,
    in_force: Annotated[bool, typer.Option("--in-force", help="Those in force alone.")] = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=_PAGE, metavar="N")] = 20,
) -> None:
    """List packages, newest first."""
    data = {"symbol": symbol, "strategy_id": strategy, "in_force": in_force, "limit": limit}
    found = line.ask("package.list", data)
    if line.as_json:
        line.print_json(found)
        return
    if not found["packages"]:
        typer.echo("No packages. An approval makes one: tunesmith approve ID")
        return
    rows = []
    for reply in found["packages"]:
        package = reply["package"]
        market = f"{package['symbol']} {package['timeframe']}"
        rows.append(
            (
                package["package_id"][:_SHORT_ID],
                market,
                package["strategy_id"],
                package["grade"],
                reply["state"].replace("_", " "),
                package["valid_until"][:10],
            )
        )
    show_table(("package", "market", "strategy", "grade", "state", "valid until"), rows)
    for reply in found["packages"]:
        bots = _bots(reply["acks"])
        if bots:
            typer.echo(fill_text(f"{reply['package']['package_id'][:_SHORT_ID]} {bots}", indent="  "))
    if found["total"] > len(rows):
        typer.echo(f"… of {found['total']:,} in all (--limit)")


@app.command()
@talks
def show(line: Line, id: PackageId) -> None:
    """Show a package: parameters, checks, metrics in sample and on the hold-out."""
    found = line.ask("package.get", {"package_id": full_id(line, id)})
    if line.as_json:
        line.print_json(found)
        return
    package = found["package"]
    state = found["state"].replace("_", " ")
    show_facts(
        {
            "package": package["package_id"],
            "state": state + (f": {found['revoked_reason']}" if found["revoked_reason"] else ""),
            "grade": package["grade"] + (f": {package['grade_reason']}" if "grade_reason" in package else ""),
            "for": f"{package['symbol']} {package['timeframe']} ({package['venue']})",
            "together with": ", ".join(package.get("decided_with", ())) or None,
            "strategy": f"{package['strategy_id']} {package['strategy_version']}",
            "params": params(package["params"]),
            "apply": package["apply"].replace("_", " "),
            "valid": f"{moment(package['valid_from'])} to {moment(package['valid_until'])} UTC",
            "trading": f"{package['direction']}, fills at {package['fill'].replace('_', ' ')}, "
            + params(package["costs"])
            + (f", spread {number(package['spread'])}" if "spread" in package else "")
            + (f", start capital {number(package['initial_cash'])}" if "initial_cash" in package else "")
            + (", no funding charged" if package.get("funding", "unknown") is None else ""),
            "candles": _candles(package),
            "budget": _budget(package.get("budget")),
            "supersedes": package["supersedes"] and package["supersedes"][:_SHORT_ID],
            "verdict": found["verdict_id"],
            "bots": _bots(found["acks"]) or None,
        }
    )
    typer.echo("")
    segments = list(package["metrics"])
    rows = [
        (name.replace("_", " "), *(metric(name, package["metrics"][s].get(name)) for s in segments)) for name in _SHOWN
    ]
    headings = [segment.replace("_", " ") for segment in segments]
    show_table(("", *headings), rows, right=headings)


@app.command()
@talks
def rollback(
    line: Line,
    id: PackageId,
    reason: Annotated[str | None, typer.Option(help="Why; it is logged.")] = None,
) -> None:
    """Go back from a package to the one before it, which bots get as a new one that is valid as long as it was."""
    found = line.ask("package.rollback", {"package_id": full_id(line, id), "reason": reason})
    if line.as_json:
        line.print_json(found)
        return
    package = found["package"]
    what = f"{package['package_id'][:_SHORT_ID]} for {package['symbol']} {package['timeframe']} is in force"
    typer.echo(fill_text(f"{what}: {params(package['params'])}"))


@app.command()
@talks
def revoke(
    line: Line,
    id: PackageId,
    reason: Annotated[str | None, typer.Option(help="Why; bots are told.")] = None,
) -> None:
    """Take a package out of force, for every bot at once."""
    found = line.ask("package.revoke", {"package_id": full_id(line, id), "reason": reason})
    if line.as_json:
        line.print_json(found)
    else:
        package = found["package"]
        typer.echo(
            f"{package['package_id'][:_SHORT_ID]} for {package['symbol']} {package['timeframe']} is revoked; "
            "bots that listen were told."
        )


def _candles(package: dict[str, Any]) -> str | None:
    """Up to when the verdict's candles go and which of them were held out; None where the package does not say."""
    if "data_end" not in package:
        return None
    told = f"held out from {moment(package['holdout_from'])}, end at {moment(package['data_end'])} UTC"
    return told + (", which was long ago and accepted" if package["accepted_old_data"] else "")


def _budget(budget: dict[str, Any] | None) -> str | None:
    """What the verdict counted against the market; None where the package does not say, or no search is behind it."""
    if budget is None:
        return None
    searches = "1 search" if budget["searches"] == 1 else f"{budget['searches']:,} searches"
    tries = f"{searches} counted as {budget['tries']:.1f} independent tries"
    return f"{tries}, look {budget['look']} at the hold-out, p at most {budget['level']:.2g}"


def _bots(acks: list[dict[str, Any]]) -> str:
    """Who runs a package, who did, and who refused it and why; empty where no bot has said anything."""
    said: dict[str, list[str]] = {"is run by": [], "was run by": [], "is refused by": []}
    for ack in acks:
        what = "is refused by" if ack["outcome"] == "refused" else "is run by" if ack["runs"] else "was run by"
        why = f" ({ack['reason']})" if ack["reason"] else ""
        said[what].append((ack["client"] or ack["user"]) + why)
    return "; ".join(f"{what} {', '.join(bots)}" for what, bots in said.items() if bots)


def full_id(line: Line, beginning: str) -> str:
    """The id of the one package whose id begins so."""
    if not re.fullmatch(r"[0-9a-f]{4,64}", beginning):
        raise Invalid("a package's id has 64 of 0-9 a-f; its first 4 or more will do (`tunesmith packages list`)")
    if len(beginning) == _FULL_ID:
        return beginning
    found: list[str] = []
    offset, total = 0, 1
    while offset < total:
        page: dict[str, Any] = line.ask("package.list", {"limit": _PAGE, "offset": offset})
        offset, total = offset + _PAGE, page["total"]
        found += [p["package"]["package_id"] for p in page["packages"]]
    matching = [id for id in found if id.startswith(beginning)]
    if len(matching) != 1:
        what = f"{len(matching)} packages have" if matching else "there is no package with"
        raise NotFound(f"{what} an id that begins with {beginning}\n`tunesmith packages list` shows what is there.")
    return matching[0]
