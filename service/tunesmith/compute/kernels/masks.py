"""64 bars in a word: bit k of a mask is the bar k bars after the word's first."""

from __future__ import annotations

from typing import Any

import numpy as np

BITS = 64


def packed(conditions: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Bytes of 0 or 1, uint8[..., T], as masks uint64[..., W], W = ceil(T / 64); the bits after the last bar are 0."""
    n_bars = conditions.shape[-1]
    n_words = n_words_of(n_bars)
    whole = np.zeros((*conditions.shape[:-1], n_words * 8), np.uint8)
    whole[..., : -(-n_bars // 8)] = np.packbits(conditions, axis=-1, bitorder="little")
    return whole.view("<u8").astype(np.uint64, copy=False)


def unpacked(masks: np.ndarray[Any, np.dtype[np.uint64]], n_bars: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Masks uint64[..., W] as bytes of 0 or 1, uint8[..., T]."""
    whole = np.ascontiguousarray(masks.astype("<u8", copy=False)).view(np.uint8)
    bits: np.ndarray[Any, np.dtype[np.uint8]] = np.unpackbits(whole, axis=-1, count=n_bars, bitorder="little")
    return bits


def n_words_of(n_bars: int) -> int:
    """Words that hold a bit for each bar."""
    return -(-n_bars // BITS)
