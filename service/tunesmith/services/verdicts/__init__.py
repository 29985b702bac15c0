"""Verdicts: from a search or a backtest to a decision, its ledger, evidence and replay."""
