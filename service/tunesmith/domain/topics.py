"""Topics of events. Every topic ends in `/`, so that a subscription to one market never matches another's prefix."""

from __future__ import annotations

HEARTBEAT = "hb/"


def package_topic(symbol: str, timeframe: str, strategy_id: str) -> str:
    return f"pkg/{symbol}/{timeframe}/{strategy_id}/"


def done_topic(task_id: str) -> str:
    return f"task/{task_id}/done/"


def progress_topic(task_id: str) -> str:
    return f"task/{task_id}/progress/"


def reply_topic(client: str, request_id: str) -> str:
    return f"rep/{client}/{request_id}/"
