"""Bars of a market: candles as arrays, their timeframes, resampling, and columns read from files. Begin with `bars`."""
