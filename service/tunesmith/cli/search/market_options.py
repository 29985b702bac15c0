"""The options that say on which market, when and how is traded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tunesmith.domain import trading

Timeframe = Annotated[str | None, typer.Option(help="Such as 1h; the stored one when there is only one.", metavar="T")]
Venue = Annotated[str | None, typer.Option(help="Where the candles are from, when more than one has the symbol.")]
Start = Annotated[str | None, typer.Option("--start", help="First day or time of trading, UTC.", metavar="DATE")]
End = Annotated[str | None, typer.Option("--end", help="Last day, inclusive, or time, UTC.", metavar="DATE")]
Fee = Annotated[float | None, typer.Option(help="Fee of an order, a fraction of its value.  [default: 0.001]")]
Slippage = Annotated[float | None, typer.Option(help="Slippage of an order, a fraction.  [default: 0]")]
Direction = Annotated[trading.Direction | None, typer.Option(help="What may be traded.")]
Fill = Annotated[trading.Fill | None, typer.Option(help="Where orders fill.")]
Engine = Annotated[trading.Engine | None, typer.Option(help="What evaluates the trials.")]


def market(
    timeframe: str | None,
    venue: str | None,
    dates: tuple[str | None, str | None],
    costs: tuple[float | None, float | None],
    trading: tuple[str | None, str | None, str | None],
) -> dict[str, Any]:
    """The fields of a market's request; `trading` is direction, fill and engine. None leaves one to the daemon."""
    rates = {"fee_rate": costs[0], "slippage_rate": costs[1]}
    given = {name: rate for name, rate in rates.items() if rate is not None}
    return {
        "timeframe": timeframe,
        "venue": venue,
        "start_date": dates[0],
        "end_date": dates[1],
        "costs": given or None,
        "direction": trading[0],
        "fill": trading[1],
        "engine": trading[2],
    }
