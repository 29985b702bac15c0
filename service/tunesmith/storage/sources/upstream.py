"""The contract with an upstream data service: one JSON request for bars, one JSON reply, over ZeroMQ or HTTP.

    {"v": 1, "type": "bars.get", "data": {"venue": "binance", "symbol": "BTC/USDT", "timeframe": "1h",
                                          "start_ms": 1704067200000, "end_ms": 1704153600000, "limit": 5000}}
    {"v": 1, "type": "bars.get.reply", "ok": true, "data": {"bars": [[1704067200000, 42283.6, 42554.6, 42261.0, 42475.2, 1271.7], …]}}
    {"v": 1, "type": "bars.get.reply", "ok": false, "error": {"code": "not_found", "detail": "no such symbol"}}

The bars are the first `limit` that open in [start_ms, end_ms), oldest first, as rows [UTC milliseconds of the open, open,
high, low, close, volume]; none means that there are none. Only closed bars. Codes that mean something here are `not_found`
and `invalid`; every other one is a failure that may pass.
"""  # noqa: E501 - a reply in one line

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tunesmith.errors import Internal, Invalid, NotFound
from tunesmith.storage.sources.source import Market, Row

PAGE_BARS = 5_000
MAX_REPLY_BYTES = 4 * 2**20


class _Bars(msgspec.Struct):
    bars: list[Row]


class _Reply(msgspec.Struct):
    v: Literal[1]
    type: Literal["bars.get.reply"]
    ok: bool
    data: _Bars | None = None
    error: dict[str, Any] = {}


def encode_request(market: Market, start_ms: int, end_ms: int, limit: int) -> bytes:
    """The request for the first `limit` bars that open in [start_ms, end_ms)."""
    data = {
        **market._asdict(),
        "start_ms": start_ms,
        "end_ms": end_ms,
        "limit": limit,
    }
    return msgspec.json.encode({"v": 1, "type": "bars.get", "data": data})


def decode_reply(body: bytes, where: str) -> list[Row]:
    """The bars of a reply. Raises `NotFound` and `Invalid` as the service says, `Internal` for all else."""
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except msgspec.DecodeError as error:
        raise Internal(f"the answer of {where} is no bars.get.reply: {error}") from error
    if reply.ok and reply.data is not None:
        return reply.data.bars
    said = str(reply.error.get("detail") or reply.error.get("code") or "it does not say why")[:200]
    kind = {"not_found": NotFound, "invalid": Invalid}.get(str(reply.error.get("code")), Internal)
    raise kind(f"{where} refuses: {said}")
