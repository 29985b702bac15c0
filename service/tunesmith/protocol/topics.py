"""Topics of events, and who may hear them.

Every topic ends in `/`, so that a subscription to BTC/USD does not match BTC/USDT. A symbol without a slash, such as
ETH, begins those of all its pairs: `pkg/ETH/` matches `pkg/ETH/USDT/…` too. Its events come on a second topic as well,
below `pkg/ETH//`, which begins no other market's.
"""

from __future__ import annotations

from tunesmith.protocol.envelope import Role

HEARTBEAT = "hb/"

_PUBLIC = ("pkg/", "task/", HEARTBEAT)


def package_topic(symbol: str, timeframe: str, strategy_id: str) -> str:
    return f"pkg/{symbol}/{timeframe}/{strategy_id}/"


def package_topics(symbol: str, timeframe: str, strategy_id: str) -> list[str]:
    """Every topic on which events about these packages come; the first is `package_topic`."""
    first = package_topic(symbol, timeframe, strategy_id)
    return [first] if "/" in symbol else [first, f"{market_prefix(symbol)}{timeframe}/{strategy_id}/"]


def market_prefix(symbol: str) -> str:
    """What a subscription to the packages of one market, and of no other, begins with."""
    return f"pkg/{symbol}/" if "/" in symbol else f"pkg/{symbol}//"


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
