"""What must not be shown: credentials in addresses, bearer tokens, and secrets that were named to `hide`.

Every error's message and every log line goes through `mask`; so do settings that are shown.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, urlsplit

MASK = "****"

_IN_ADDRESSES = re.compile(r"(?<=://)[^/\s\"']+(?=@)")
_IN_QUERIES = re.compile(r"([?&](?:password|passwd|token|secret|api_?key)=)[^&\s\"']+", re.IGNORECASE)
_TOKENS = re.compile(r"\btsm_[A-Za-z0-9_-]{8,}")
_BEARERS = re.compile(r"(\bbearer\s+)(?!tsm_)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_SHORTEST = 4
"""A shorter secret would be masked in words that have nothing to do with it."""

_hidden: set[str] = set()


def mask(text: str) -> str:
    """The text without what must not be shown."""
    if "://" in text:
        text = _IN_ADDRESSES.sub(MASK, text)
    if "=" in text:
        text = _IN_QUERIES.sub(rf"\1{MASK}", text)
    if "tsm_" in text:
        text = _TOKENS.sub(f"tsm_{MASK}", text)
    if "earer" in text or "EARER" in text:
        text = _BEARERS.sub(rf"\1{MASK}", text)
    for secret in _hidden:
        text = text.replace(secret, MASK)
    return text


def hide(secret: str) -> None:
    """Mask this text wherever it stands, from now on and in this process."""
    if len(secret) >= _SHORTEST:
        _hidden.update((secret, json.dumps(secret)[1:-1]))


def hide_credentials(address: str) -> None:
    """Hide the password that an address holds, as it is written there and as it is sent."""
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        hide(password)
        hide(unquote(password))
