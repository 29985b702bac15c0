"""The story of a verdict for a person: what was searched, what was asked of it, what came out, what could help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.cli.tables import fill_text, params

_IN = "  "


_NAMES = {
    "psr": "probabilistic Sharpe ratio",
    "dsr": "deflated Sharpe ratio",
    "minimum_track_record_years": "least track record, years",
    "pbo": "probability of overfitting",
    "walk_forward_efficiency": "walk-forward efficiency",
}


def tell(verdict: Mapping[str, Any], report: Mapping[str, Any] | None, search: Mapping[str, Any] | None) -> str:
    """The story, within the terminal's width, from the replies to verdict.get, report.get and optimization.status."""
    paragraphs = [
        *_beginning(verdict, report),
        *_searched(verdict, report, search),
        *_checked(verdict),
        *_shuffled(verdict),
        *_beside(verdict),
        *_what_next(verdict),
    ]
    return "\n".join(paragraphs)


def _beginning(verdict: Mapping[str, Any], report: Mapping[str, Any] | None) -> Iterator[str]:
    what = str(verdict["verdict"]).replace("_", " ").capitalize()
    if report is not None:
        others = [other["symbol"] for other in (verdict["evidence"] or {}).get("others", [])]
        symbols = ", ".join([report["symbol"], *others])
        what += f": {report['strategy_id']} {report['strategy_version']} on {symbols} {report['timeframe']}"
    yield fill_text(f"{what} ({verdict['verdict_id']})")
    yield fill_text(f"Because: {verdict['reason']}.", indent=_IN)
    if verdict["grade"]:
        yield fill_text(f"The package's grade is {verdict['grade']}.", indent=_IN)


def _searched(
    verdict: Mapping[str, Any], report: Mapping[str, Any] | None, search: Mapping[str, Any] | None
) -> Iterator[str]:
    yield from ("", "What was searched")
    if report is not None:
        yield _line(
            f"Bars from {report['start_date'][:10]} to {report['end_date'][:10]}, {report['direction']}, fills at "
            f"{report['fill'].replace('_', ' ')}, {params(report['costs'])}"
            + (f", start capital {report['initial_cash']:,.10g}." if "initial_cash" in report else ".")
        )
    if search is None:
        yield _line(
            "Nothing: it is a lone backtest. Nobody knows how its parameters were chosen, so that criteria alone could "
            "be asked of it, and nothing here tells skill from luck."
        )
    else:
        method = search["method"].replace("_", " ")
        yield _line(
            f"{search['n_done']:,} trials by {method}, of {search['n_trials']:,} planned. The more trials, the better "
            "the best of them looks by chance alone; the checks below take that into account."
        )
    if report is not None:
        yield _line(f"The winner: {params(report['params'])}.")
    if search is not None and search.get("withheld_from"):
        yield _line(f"The bars from {search['withheld_from'][:10]} on were the hold-out, which no search saw.")
    evidence = verdict["evidence"] or {}
    counted, ledger = evidence.get("counted"), evidence.get("ledger")
    if counted:
        n = counted["n"]
        yield _line(
            "It is the only search that counts on this market."
            if n == 1
            else f"It is one of {n:,} searches that count on this market, with {counted['n_trials']:,} trials in all: "
            "whoever searches wide, narrows down and asks for the winner has made all of these tries."
        )
    elif ledger and "edition" not in evidence:
        yield _line(
            f"It is verdict {ledger['look']} on this hold-out; the limit on both tests together falls with the square "
            "of that number."
        )


def _checked(verdict: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "What was asked of it, cheap questions first")
    for check in verdict["checks"]:
        mark = "passed" if check["passed"] else "FAILED"
        yield fill_text(f"{check['asks']} ({check['segment'].replace('_', ' ')})", f"{_IN}{mark}  ", _IN * 5)
        figures = f"{_figure(check['value'])}, limit {_figure(check['threshold'])}"
        if check["value"] is None and check["threshold"] is None:
            figures = ""
        elif check["value"] is None and check["segment"] in ("holdout", "all"):
            figures = f"figure hidden, limit {_figure(check['threshold'])}"
        explanation = _explanations(verdict).get(check["name"])
        cost = f"Cost: {explanation['cost']}" if explanation else ""
        told = ". ".join(part for part in (figures, check["reason"], cost) if part)
        yield fill_text(f"{told}.", _IN * 5, _IN * 5)
    left = verdict.get("not_asked")
    if left:
        yield _line(f"Not asked any more, as one had failed: {', '.join(left)}.")


def _shuffled(verdict: Mapping[str, Any]) -> Iterator[str]:
    evidence = verdict["evidence"] or {}
    found = evidence.get("searches") or evidence.get("permutations")
    if not found:
        return
    limit = evidence["thresholds"]["search"]
    yield from ("", "The permutation test in plain words")
    who = (
        "all searches that count were made again, each around the winner that the ones before it find there, and the "
        "best of all their trials was held against the one that is asked for."
        if "searches" in evidence
        else "the same search ran with the same budget and rules, and the best it found there was held against the best"
        " it found here."
    )
    yield _line(
        "The bars were shuffled: same bars, same drift, same swings, but whatever their order told is gone, so that "
        f"there is no skill to be found. On each shuffled market {who}"
    )
    yield _line(
        f"On {found['n_reached']:,} of {found['n']:,} it was as good or better: p = {found['p']:.3g}. An approval asks "
        f"for {limit:g} or less: at most {limit:.0%} of markets without an edge get past this test."
    )
    if found["n"] < found["n_draws"]:
        yield _line(
            f"It ended there, at {found['stop_at']} as good, without the rest of {found['n_draws']:,}: the answer was "
            "plain."
        )


def _beside(verdict: Mapping[str, Any]) -> Iterator[str]:
    report = (verdict["evidence"] or {}).get("report")
    if not report:
        return
    for symbol, own in report.get("symbols", {"": report}).items():
        where = f" on {symbol}" if symbol else ""
        yield from ("", f"Beside it, in sample{where}; none of these approves anything")
        yield from _statistics(own)


def _statistics(report: Mapping[str, Any]) -> Iterator[str]:
    for name, label in _NAMES.items():
        if name in report:
            yield fill_text(f"{label}: {_figure(report[name]['value'])}", _IN, _IN)
            yield fill_text(f"What it cannot say: {report[name]['cannot_say']}", _IN * 2, _IN * 2)
    periods = report.get("sub_periods")
    if periods:
        quarters = ", ".join(_figure(value) for value in periods["timing_sharpe"])
        yield fill_text(f"timing Sharpe ratio by quarter of the record: {quarters}", _IN, _IN)
        yield fill_text(f"What it cannot say: {periods['cannot_say']}", _IN * 2, _IN * 2)
    costs = report.get("costs")
    if costs:
        rows = ", ".join(f"{row['costs']} {_percent(row['total_return'])}" for row in costs["stress"])
        yield fill_text(f"total return at other costs: {rows}", _IN, _IN)
        yield fill_text(f"What it cannot say: {costs['cannot_say']}", _IN * 2, _IN * 2)
    holding = report.get("holding")
    if holding:
        yield fill_text(
            f"buy and hold: {_percent(holding['buy_and_hold_return'])}; it was in the market "
            f"{_percent(holding['exposure'])} of the time, with a Sharpe ratio of {_figure(holding['sharpe'])}, and "
            f"{_figure(holding['timing_sharpe'])} without what holding as much would have earned",
            _IN,
            _IN,
        )


def _what_next(verdict: Mapping[str, Any]) -> Iterator[str]:
    failed = [check["name"] for check in verdict["checks"] if not check["passed"]]
    explanations = _explanations(verdict)
    advice = list(dict.fromkeys(explanations[name]["helps"] for name in failed if name in explanations))
    packages = verdict["parameter_packages"]
    if advice:
        yield from ("", "What could help")
        yield from map(_line, advice)
    elif verdict["verdict"] == "paper_only":
        yield from ("", "What could help")
        yield _line("Follow it on paper and ask again when new bars make a new hold-out; it comes as no package.")
    elif packages:
        yield from ("", "What came of it")
        for package in packages:
            which = f"{package['package_id'][:12]} for {package['symbol']}"
            yield _line(f"The package {which}, valid until {package['valid_until'][:10]}.")
    yield from ("", "To check this yourself")
    yield _line(f"tunesmith replay {verdict['verdict_id']}")


def _explanations(verdict: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is told of each check by its name; a daemon of an earlier version tells nothing."""
    return verdict.get("explanations") or {}


def _line(text: str) -> str:
    return fill_text(text, _IN, _IN)


def _figure(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1%}"
