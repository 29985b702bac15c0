"""A package, a frame and texts that never change, with their canonical JSON, hash and signature."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from golden import inside
from golden.archive import unpack

PACKAGE: dict[str, Any] = {
    "grade": "proven",
    "venue": "local",
    "symbol": "GOLD/USDT",
    "timeframe": "1w",
    "strategy_id": "ma_cross_v1.0",
    "strategy_version": "1.0",
    "code_hash": "c" * 64,
    "params": {"fast_period": 4, "slow_period": 20, "signal_threshold": 1e-7, "kind": "sma", "both": True},
    "metrics": {"in_sample": {"sharpe": 1.8475361948335518, "profit_factor": None, "n_trades": 26.0}},
    "checks": [{"name": "bars", "value": 1500.0, "threshold": 1e3, "reason": "1,500 bars; „genug“ – 十分 \U0001d11e"}],
    "data_hash": "d" * 64,
    "costs": {"fee_rate": 0.001, "slippage_rate": 0.0, "fixed_fee": 0.30000000000000004},
    "fill": "next_open",
    "direction": "long",
    "valid_from": "2026-01-01T00:00:00.000Z",
    "valid_until": "2034-08-15T00:00:00.000Z",
    "supersedes": None,
    "apply": "new_trades",
    "created_at": "2026-01-01T00:00:00.000Z",
    "decided_with": [],
}
NUMBERS = [0, -0.0, 1, -1, 1.0, 0.1, 1e-6, 1e-7, 123456789012345680000.0, 1e21, 1.5e300, 5e-324, 2**53, -(2**53), 1 / 3]
NAMES = {"\U0001f600": 1, "\ufb33": 2, "é": 3, "e": 4, "E": 5, "10": 6, "9": 7, '\n\t"\\/': 8, "\x7f\u2028": 9}


def record_fixed(folder: Path) -> dict[str, Any]:
    """Unpack the release's keys below `folder`, and return what is computed of the values above."""
    unpack(folder)
    frame = json.dumps({"v": 1, "type": "package.approved", "data": PACKAGE}).encode()
    return {
        "package_id": inside.package_id(PACKAGE),
        "package": inside.canonical(PACKAGE),
        "numbers": inside.canonical(NUMBERS),
        "names": inside.canonical(NAMES),
        "signature": base64.b64encode(inside.sign(folder / "data" / "keys" / "signing", frame)).decode(),
        "errors": inside.errors(),
    }
