"""A kind of chunk that is no part of the package."""

from __future__ import annotations

from tunesmith.workers.chunks.chunk_kind import ChunkKind


def twice(n: int) -> int:
    return 2 * n


CHUNKS = {"twice": ChunkKind("twice", "subprocess", "workers.kinds_from_outside:twice")}
