"""Tunesmith tunes trading-strategy parameters, proves them, and delivers those that pass to bots over ZeroMQ."""

__version__ = "0.1.0"
