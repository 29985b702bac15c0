"""The options that say on which market, when and how is traded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from tunesmith.cli.daemon_connection import OptionGroup
from tunesmith.cli.tables import number
from tunesmith.domain import trading
from tunesmith.domain.records import JsonObject

Timeframe = Annotated[str | None, typer.Option(help="Such as 1h; the stored one when there is only one.", metavar="T")]
Venue = Annotated[str | None, typer.Option(help="Where the candles are from, when more than one has the symbol.")]
Start = Annotated[str | None, typer.Option("--start", help="First day or time of trading, UTC.", metavar="DATE")]
End = Annotated[str | None, typer.Option("--end", help="Last day, inclusive, or time, UTC.", metavar="DATE")]
Fee = Annotated[float | None, typer.Option(help="Fee of an order, a fraction of its value.  [default: 0.001]")]
Slippage = Annotated[float | None, typer.Option(help="Slippage of an order, a fraction.  [default: 0]")]
FixedFee = Annotated[
    float | None, typer.Option(help="Cash that each order costs beside.  [default: 0]", metavar="AMOUNT")
]
Direction = Annotated[
    trading.AskedDirection | None,
    typer.Option(help="Sides to trade; auto is every side that the rule enters.  [default: auto]"),
]
Cash = Annotated[float | None, typer.Option(help="Start capital.  [default: 10000]", metavar="AMOUNT")]
Fill = Annotated[trading.Fill | None, typer.Option(help="Where orders fill.")]
Engine = Annotated[trading.Engine | None, typer.Option(help="What evaluates the trials.")]
MaxMissing = Annotated[
    float | None,
    typer.Option(
        help="Share of the bars expected by the market's calendar that may be missing.  [default: 0.05]",
        metavar="SHARE",
    ),
]


@dataclass(frozen=True)
class MarketOptions(OptionGroup):
    """On which market, when and how is traded; None leaves one to the daemon."""

    timeframe: Timeframe = None
    venue: Venue = None
    start: Start = None
    end: End = None
    fee: Fee = None
    slippage: Slippage = None
    direction: Direction = None
    fill: Fill = None
    engine: Engine = None
    cash: Cash = None
    max_missing: MaxMissing = None
    fixed_fee: FixedFee = None

    def fields(self) -> dict[str, Any]:
        """The fields of a market's request."""
        rates = {"fee_rate": self.fee, "slippage_rate": self.slippage, "fixed_fee": self.fixed_fee}
        return {
            "timeframe": self.timeframe,
            "venue": self.venue,
            "start_date": self.start,
            "end_date": self.end,
            "costs": {name: rate for name, rate in rates.items() if rate is not None} or None,
            "direction": self.direction,
            "fill": self.fill,
            "engine": self.engine,
            "initial_cash": self.cash,
            "max_missing": self.max_missing,
        }


_SIDES = {
    "long": "long only",
    "short": "short only",
    "both": "long and short",
    "auto": "every side that its rule enters",
}


def terms_in_words(found: JsonObject) -> str | None:
    """Direction, costs and start capital of a reply or a request; None for the reply of a daemon that told none."""
    direction, costs, cash = (found.get(name) for name in ("direction", "costs", "initial_cash"))
    if direction is None:
        return None
    parts = [_SIDES[direction]]
    if costs is not None:
        parts += [f"fee {costs['fee_rate']:.4g} of an order", f"slippage {costs['slippage_rate']:.4g}"]
        parts += [f"{number(costs['fixed_fee'])} an order"] if costs["fixed_fee"] else []
    return ", ".join([*parts, *([] if cash is None else [f"start capital {cash:,.10g}"])])
