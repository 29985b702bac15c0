"""Topics of events, and who may hear them.

Every topic ends in `/`, so that a subscription to one market never matches another's prefix.
"""

from __future__ import annotations

from tunesmith.protocol.envelope import Role

HEARTBEAT = "hb/"

_PUBLIC = ("pkg/", "task/", HEARTBEAT)


def package_topic(symbol: str, timeframe: str, strategy_id: str) -> str:
    return f"pkg/{symbol}/{timeframe}/{strategy_id}/"


def done_topic(task_id: str) -> str:
    return f"task/{task_id}/done/"


def progress_topic(task_id: str) -> str:
    return f"task/{task_id}/progress/"


def reply_topic(client: str, request_id: str) -> str:
    return f"rep/{client}/{request_id}/"


def audible(user: str, role: Role, prefix: str) -> list[str]:
    """The topics below `prefix` that one may hear: itself, the parts of it that are theirs, or none.

    Operators hear everything. To a bot, only the replies to others are closed. The rule is the same for what is
    published, replayed and in a snapshot.
    """
    if role == "operator":
        return [prefix]
    own = (*_PUBLIC, f"rep/{user}/")
    if prefix.startswith(own):
        return [prefix]
    return [topic for topic in own if topic.startswith(prefix)]
