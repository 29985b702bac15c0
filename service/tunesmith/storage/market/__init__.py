"""Candles on disk: Parquet files by venue, symbol and timeframe, and snapshots of them by content.

Begin with `market_store`, the interface; `market_schemes` opens the store that a setting names.
"""
