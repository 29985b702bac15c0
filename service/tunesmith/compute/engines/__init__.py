"""Engines evaluate points on bars and trace single ones; vectorbt's replay confirms our orders.

Begin with `engine` (what an engine is), `engine_table` (which there are), `evaluate` (who calls them).
"""
