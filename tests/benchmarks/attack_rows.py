"""The ways in which somebody tries to have something approved on a market without an edge.

    core        needs only the daemon
    slow        needs only the daemon too, and takes longer to measure: methods that learn, other keys, other dates
    outside     needs knowledge that no daemon can have: what was found on all bars elsewhere

Each way gets an attacker and answers the verdicts that are asked for one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.attack_market import N_BARS, Asked, Attacker, Made, asked, backtests, counted, foreign, worth
from tunesmith.compute.decision.nulls.counted_search import Ground, trials_that_count
from tunesmith.compute.decision.nulls.shuffled_ground import shuffled_markets, statistics_of_points
from tunesmith.compute.rules.strategy import Strategy
from tunesmith.domain.array_types import Floats
from tunesmith.domain.parameters import ParamValues
from tunesmith.domain.space import encode_points
from tunesmith.notebook.judging import market_of_study

Way = Callable[[Attacker], list[Asked]]

_EARLIER = 1571
"""Bars that were there before the hold-out was renewed; 1,100 of them in sample, and 1,400 now."""
_MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (2, 0), (0, 2), (1, -1), (-1, 1))


@dataclass(frozen=True)
class Row:
    """A row of the table: its group, and the way."""

    group: str
    way: Way


def honest(a: Attacker) -> list[Asked]:
    return [asked(a.wide)]


def narrower(a: Attacker) -> list[Asked]:
    """As `analyze` used to teach: a hundred points about the winner, then all that lie next to the new one."""
    more = a.search("narrow", a.box.around(a.wide.params, 6), [a.wide], method="random", max_iterations=100)
    last = a.search("narrower", a.box.around(best_of(a.wide, more).params, 2), [a.wide, more])
    return [asked(last, [a.wide, more])]


def one_step(a: Attacker) -> list[Asked]:
    return [asked(a.search("step", a.box.around(a.wide.params, 1), [a.wide]), [a.wide])]


def point(a: Attacker) -> list[Asked]:
    return [asked(a.search("point", a.wide.params, [a.wide]), [a.wide])]


def beside(a: Attacker) -> list[Asked]:
    return [asked(a.search("beside", a.box.beside(a.wide.params), [a.wide]), [a.wide])]


def whole(a: Attacker) -> list[Asked]:
    """Every second step of all ranges, then every range set to the winner, and one point beside it."""
    grid = a.search("grid", a.box.ranges(2))
    return [asked(a.search("grid, beside", a.box.beside(grid.params), [grid]), [grid])]


def by_hand(a: Attacker) -> list[Asked]:
    """Ten single backtests, each a little off the best so far; then a search about the best."""
    axes = list(a.box.axes.items())[:2]
    best, value, tried = dict(a.wide.params), -np.inf, []
    for moves in ((0, 0), *_MOVES):
        params = dict(best)
        for (name, (low, high, step)), by in zip(axes, moves, strict=True):
            params[name] = min(high, max(low, float(best[name]) + by * step))
        code = encode_points(a.rule.parameters, params)
        if not a.rule.valid(code)[0]:
            continue
        tried.append(code[0])
        found = float(np.nan_to_num(worth(a.wide.study, code)[0], nan=-np.inf))
        if found > value:
            best, value = params, found
    hand = backtests("by hand", a.wide, np.array(tried), [a.wide])
    last = a.search("by hand, beside", a.box.beside(best), [a.wide])
    seen = last.counted.seen | {hand.search_id}
    return [asked(Made(last.study, replace(last.counted, seen=seen)), [a.wide, hand])]


def filtered(a: Attacker) -> list[Asked]:
    """Another text: the winner fixed, and a filter searched beside it."""
    ranges = {**a.wide.params, "trend": {"min": 5, "max": 201, "step": 7}}
    return [asked(a.search("filter", ranges, [a.wide], rule=a.filtered), [a.wide])]


def renamed(a: Attacker) -> list[Asked]:
    """Another text that says the same: a comment, and parameters of other names, about the winner."""
    names = {name: f"{name}_again" for name in a.wide.params}
    rule = a.text((r"\A", "# mine\n"), *((rf"\b{old}\b(?!=)", new) for old, new in names.items()))
    around = a.box.around(a.wide.params, 1)
    return [asked(a.search("renamed", {names[k]: v for k, v in around.items()}, [a.wide], rule=rule), [a.wide])]


def texts(a: Attacker) -> list[Asked]:
    """Texts by hand: the best so far and a filter more, of which three values are tried; kept where it is better."""
    filters = ("rsi(close, 14) < {}", "close > sma(close, {})", "rsi(close, 5) > {}")
    values = ((60, 70, 80), (20, 60, 150), (20, 30, 40))
    made, best, code = [a.wide], a.wide, a.box.code
    for text, tries in zip(filters, values, strict=True):
        grown = code.replace("enter_long(", f"enter_long({text.format('extra')} and ")
        rule = Strategy.parse(f"extra = Int({tries[0]}, {tries[0]}, {tries[-1]})\n{grown}", id="variation")
        kept = {name: value for name, value in best.params.items() if name != "extra"}
        made.append(a.search(f"text {len(made)}", {**kept, "extra": list(tries)}, list(made), rule=rule))
        if made[-1].statistic > best.statistic:
            best, code = made[-1], re.sub(r"\bextra\b", str(made[-1].params["extra"]), grown)
    return [] if best is a.wide else [_asked_among(made, best)]


def renewed(a: Attacker) -> list[Asked]:
    """Searched wide before the hold-out moved on; its winner is asked afterwards."""
    early = _before_renewal(a)
    return [asked(a.search("renewed", a.box.beside(early.params), [early]), [early])]


def renewed_narrow(a: Attacker) -> list[Asked]:
    early = _before_renewal(a)
    return [asked(a.search("renewed, narrow", a.box.around(early.params, 2), [early]), [early])]


def two_keys(a: Attacker) -> list[Asked]:
    """One key searches wide, another, which saw nothing of it, submits the winner."""
    return [asked(a.search("key", a.box.beside(a.wide.params)), [foreign(a.wide)])]


def two_keys_narrow(a: Attacker) -> list[Asked]:
    return [asked(a.search("key, about", a.box.around(a.wide.params, 2)), [foreign(a.wide)])]


def two_keys_text(a: Attacker) -> list[Asked]:
    """The other key submits it under another text."""
    rule = a.text((r"\A", "# mine\n"))
    return [asked(a.search("key, text", a.box.beside(a.wide.params), rule=rule), [foreign(a.wide)])]


def related_market(a: Attacker) -> list[Asked]:
    """Searched wide on a market that moves like this one (.9); its winner is asked here."""
    there = a.wide_on("wide", a.like(0.9))
    return [asked(a.search("here", a.box.beside(there.params), [there]), [there])]


def related_narrow(a: Attacker) -> list[Asked]:
    there = a.wide_on("wide", a.like(0.9))
    return [asked(a.search("here, about", a.box.around(there.params, 2), [there]), [there])]


def longer_bars(a: Attacker) -> list[Asked]:
    """Searched wide on bars of twice the length; what is the same rule on the short ones is asked there."""
    there = a.wide_on("longer", a.longer)
    params = _on_shorter(a, there)
    if params is None:
        return []
    here = a.search("shorter", a.box.around(params, 1), [there])
    return [replace(asked(here, [there]), elsewhere=a.in_longer(here))]


def free_of_costs(a: Attacker) -> list[Asked]:
    """Searched wide without costs; what is about the winner is asked with them."""
    there = a.wide_on("free", fee=0.0)
    return [asked(a.search("with costs", a.box.around(there.params, 1), [there]), [there])]


def three_fees(a: Attacker) -> list[Asked]:
    """The same points at three fees; the best search of all is asked."""
    made: list[Made] = []
    for fee in (0.0008, 0.0009, 0.001):
        made.append(a.wide_on(f"fee {fee}", after=list(made), fee=fee, max_iterations=100))
    return [_best_asked(made)]


def other_direction(a: Attacker) -> list[Asked]:
    other = "long" if a.direction == "both" else "both"
    there = a.wide_on("direction", direction=other)
    return [asked(a.search("this direction", a.box.around(there.params, 1), [there]), [there])]


def seeds(a: Attacker) -> list[Asked]:
    """Eight searches of forty points with other seeds; the best of all is asked."""
    made: list[Made] = []
    for i in range(8):
        made.append(a.wide_on(f"seed {i}", after=list(made), max_iterations=40, seed=a.seed + i + 1))
    return [_best_asked(made)]


def targets(a: Attacker) -> list[Asked]:
    """The same points for five targets; of their winners the one with the best timing is asked."""
    made: list[Made] = []
    for target in ("total_return", "sharpe", "profit_factor", "calmar", "sortino"):
        made.append(a.wide_on(f"for {target}", after=list(made), target=target))
    return [_best_asked(made)]


def start_dates(a: Attacker) -> list[Asked]:
    """The same search from five start dates: five verdicts, one after the other."""
    made: list[Made] = []
    for at in (0, 200, 400, 600, 800):
        bars, share = a.bars.slice(at, N_BARS), 0.3 * N_BARS / (N_BARS - at)
        made.append(a.wide_on(f"from {at}", bars, list(made), holdout_share=share, max_iterations=100))
    return [_with_parts(asked(each, made[:i]), made[:i]) for i, each in enumerate(made)]


def _with_parts(each: Asked, earlier: Sequence[Made]) -> Asked:
    """Searches of other bars of this market count once more, on the bars that they were given."""
    book, elsewhere = list(each.book), {}
    for made in earlier:
        called = f"{made.counted.timeframe} {made.counted.search_id}"
        part = replace(made.counted, search_id=f"{made.counted.search_id}, part", timeframe=called, seen=frozenset())
        book.insert(len(book) - 1, part)
        elsewhere[called] = (market_of_study(made.study),)
    return replace(each, book=tuple(book), elsewhere=elsewhere)


def stopped(a: Attacker) -> list[Asked]:
    """A search of which the attacker knows, from shuffles of the candles at home, when to cancel it."""
    study = a.wide.study
    market = market_of_study(study)
    home = Ground({market.bars.timeframe: (market,)}, "mean", b"at home", study.split.boundary_ms)
    own = _running(worth(study, study.points))
    drawn = []
    for i in range(60):
        moved = shuffled_markets(home, market.bars.timeframe, i)
        found = statistics_of_points(study.strategy, moved, study.execution, study.points, "mean")
        drawn.append(_running(np.where(found.counts, found.t, np.nan)))
    reached = (np.array(drawn) >= own).mean(axis=0)
    n_made = min((1, 3, 10, 30, 80, 200), key=lambda k: (reached[k - 1], -own[k - 1]))
    if own[n_made - 1] == -np.inf:
        return []
    cut = a.wide_on("cut", max_iterations=n_made)
    n_counted = trials_that_count(study.search.sampler.n_trials, n_made, by_clock=False)
    return [asked(Made(cut.study, counted("cut", study, n_made=n_counted)))]


def two_keys_related(a: Attacker) -> list[Asked]:
    """One key searches wide on a market that moves like this one (.9), another submits the winner here."""
    there = a.wide_on("wide", a.like(0.9))
    return [asked(a.search("key, here", a.box.beside(there.params)), [foreign(there)])]


def two_keys_longer(a: Attacker) -> list[Asked]:
    """One key searches wide on bars of twice the length, another submits what is the same rule on the short ones."""
    there = a.wide_on("longer", a.longer)
    params = _on_shorter(a, there)
    if params is None:
        return []
    here = a.search("key, shorter", a.box.around(params, 1))
    return [replace(asked(here, [foreign(there)]), elsewhere=a.in_longer(here))]


def genetic(a: Attacker) -> list[Asked]:
    """Searched wide, then by a genetic search of everything: its winner is asked."""
    return [asked(a.search("genetic", a.box.ranges(), [a.wide], method="genetic", max_iterations=200), [a.wide])]


def genetic_narrow(a: Attacker) -> list[Asked]:
    ranges = a.box.around(a.wide.params, 4)
    return [asked(a.search("genetic, about", ranges, [a.wide], method="genetic", max_iterations=60), [a.wide])]


def tpe(a: Attacker) -> list[Asked]:
    return [asked(a.search("tpe", a.box.ranges(2), method="tpe", max_iterations=60))]


def all_bars(a: Attacker) -> list[Asked]:
    """The best of all points on all bars, the hold-out among them, as the first search of this market."""
    grid = a.search("all bars", a.box.ranges(), holdout_share=0.02)
    return [asked(a.search("best of all bars", a.box.beside(grid.params)))]


def recognized(a: Attacker) -> list[Asked]:
    """A rule text that recognizes sixty bars by their close, each before a good one, about each other."""
    step = np.diff(a.bars.open)
    good = np.sort(np.argsort(-step[1:-1] / a.bars.open[1:-2])[:60]) + 1
    known = " or ".join(f"abs(close - {a.bars.close[i - 1]!r}) < near * 1e-7" for i in good)
    code = f"near = Int(1, 1, 3)\nhit = {known}\nenter_long(hit)\nexit_long(not hit)\n"
    rule = Strategy.parse(code, id="recognized")
    return [asked(a.search("recognized", {"near": [1, 2, 3]}, rule=rule))]


def best_of(*made: Made) -> Made:
    """The search with the best winner, the first of equals."""
    return max(made, key=lambda each: each.statistic)


def _best_asked(made: Sequence[Made]) -> Asked:
    """The verdict on the best of several searches, all of which were made before it was asked for."""
    return _asked_among(made, best_of(*made))


def _asked_among(made: Sequence[Made], best: Made) -> Asked:
    return Asked(best, tuple(each.counted for each in made))


def _on_shorter(a: Attacker, there: Made) -> ParamValues | None:
    """The winner on longer bars as a rule on bars of half their length; None where a condition breaks."""
    params = dict(there.params)
    for name in a.box.lengths:
        low, high, step = a.box.axes[name]
        params[name] = min(high, max(low, low + step * round((2.0 * float(params[name]) - low) / step)))
    return params if a.rule.valid(encode_points(a.rule.parameters, params))[0] else None


def _before_renewal(a: Attacker) -> Made:
    return a.wide_on("wide", a.bars.slice(0, _EARLIER))


def _running(t: Floats) -> Floats:
    """The best of the first k trials for every k; float64[n], -inf before the first result."""
    return np.maximum.accumulate(np.nan_to_num(t, nan=-np.inf))


ROWS: dict[str, Row] = {
    "one search, honest": Row("core", honest),
    "wide, narrow, narrower": Row("core", narrower),
    "wide, then all within a step of its winner": Row("core", one_step),
    "wide, then its winner alone": Row("core", point),
    "wide, then its winner and one point beside it": Row("core", beside),
    "a whole grid, then every range = the winner, and one beside": Row("core", whole),
    "wide, ten single backtests by hand, the best and one beside": Row("core", by_hand),
    "another text: the winner and a filter": Row("core", filtered),
    "another text: a comment and other names, within a step": Row("core", renamed),
    "three texts by hand, each the best so far and a filter more": Row("core", texts),
    "wide, 300 bars later its winner and one point beside it": Row("core", renewed),
    "wide, 300 bars later within two steps of its winner": Row("core", renewed_narrow),
    "two keys: the other's winner and one point beside it": Row("core", two_keys),
    "two keys: within two steps of the other's winner": Row("slow", two_keys_narrow),
    "two keys: the other's winner under another text": Row("slow", two_keys_text),
    "two keys: the other's winner on a related market (.9)": Row("core", two_keys_related),
    "two keys: the other's winner on longer bars": Row("core", two_keys_longer),
    "wide on a related market (.9), its winner here": Row("core", related_market),
    "wide on a related market (.9), within two steps here": Row("core", related_narrow),
    "wide on longer bars, within a step of its winner here": Row("core", longer_bars),
    "wide without costs, within a step of its winner with": Row("core", free_of_costs),
    "the same points at three fees, the best of all": Row("core", three_fees),
    "wide in another direction, within a step of its winner": Row("core", other_direction),
    "eight seeds, the best of all": Row("core", seeds),
    "five targets, the winner with the best timing": Row("core", targets),
    "the same search from five start dates": Row("slow", start_dates),
    "cancelled when it looks best": Row("core", stopped),
    "wide, then genetic everywhere": Row("slow", genetic),
    "wide, then genetic about its winner": Row("slow", genetic_narrow),
    "tpe, alone": Row("slow", tpe),
    "outside: the best of all bars, hold-out too": Row("outside", all_bars),
    "outside: a text that recognizes sixty bars": Row("outside", recognized),
}
