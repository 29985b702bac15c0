"""Layouts: what the columns of somebody's table of candles mean, and what is said where that is in doubt.

`file_formats.read_sheet` reads a file, `sheet_candles.candles_of_sheet` decides what its columns mean.
"""
