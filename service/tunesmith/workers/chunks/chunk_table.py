"""The kinds of chunks: to add one, write its function and give it a row here."""

from __future__ import annotations

from tunesmith.workers.chunks.chunk_kind import ChunkKind
from tunesmith.workers.lanes import Lane

_HERE = "tunesmith.workers.chunks"

CHUNKS: dict[str, ChunkKind] = {
    kind.name: kind
    for kind in (
        ChunkKind("prepare", "holdout", f"{_HERE}.market_chunks:prepare"),
        ChunkKind("keep_marks", "holdout", f"{_HERE}.market_chunks:keep_marks"),
        ChunkKind("import_bars", "holdout", f"{_HERE}.market_chunks:import_bars"),
        ChunkKind("fetch_bars", "network", f"{_HERE}.download_chunks:fetch_bars"),
        ChunkKind("search", "search", f"{_HERE}.search_chunks:search", needs_kernels=True),
        ChunkKind("propose", "search", f"{_HERE}.search_chunks:propose", needs_kernels=True),
        ChunkKind("probe", "search", f"{_HERE}.search_chunks:probe", needs_kernels=True),
        ChunkKind("front", "search", f"{_HERE}.search_chunks:front"),
        ChunkKind("backtest", "search", f"{_HERE}.backtest_chunks:backtest", needs_kernels=True),
        ChunkKind("backtest_holdout", "holdout", f"{_HERE}.backtest_chunks:backtest", needs_kernels=True),
        ChunkKind("judge", "holdout", f"{_HERE}.backtest_chunks:judge", needs_kernels=True),
        ChunkKind("decision_work", "search", f"{_HERE}.decision_chunks:decision_work", needs_kernels=True),
        ChunkKind("decision_work_holdout", "holdout", f"{_HERE}.decision_chunks:decision_work", needs_kernels=True),
        ChunkKind("null_draws", "search", f"{_HERE}.null_chunks:null_draws", needs_kernels=True),
        ChunkKind("null_symbols", "search", f"{_HERE}.null_chunks:null_symbols", needs_kernels=True),
        ChunkKind("walk", "search", f"{_HERE}.walkforward_chunks:walk", needs_kernels=True),
        ChunkKind("stitch", "search", f"{_HERE}.walkforward_chunks:stitch", needs_kernels=True),
        ChunkKind("analyze", "search", f"{_HERE}.analysis_chunks:analyze"),
        ChunkKind("compare_searches", "search", f"{_HERE}.analysis_chunks:compare_searches"),
        ChunkKind("export_trials", "search", f"{_HERE}.analysis_chunks:export_trials"),
    )
}
"""Kind of chunk by name."""

LANE_OF: dict[str, Lane] = {kind.name: kind.lane for kind in CHUNKS.values()}


def modules_of(*lanes: Lane) -> tuple[str, ...]:
    """The modules whose functions run in these lanes."""
    return tuple(sorted({kind.function.partition(":")[0] for kind in CHUNKS.values() if kind.lane in lanes}))
