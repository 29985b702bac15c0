"""Candles on disk: Parquet files by venue, symbol and timeframe, and snapshots of them by content."""
