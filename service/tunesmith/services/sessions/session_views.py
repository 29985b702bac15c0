"""How sessions and their trials are shown."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from tunesmith.domain.records import build
from tunesmith.protocol.messages.sessions import SessionItem, SessionReply, SessionTrial
from tunesmith.services.runtime.context import Context
from tunesmith.services.searches.search_tasks import best_first
from tunesmith.storage.sqlite.connections import Source
from tunesmith.storage.tables import session_table, trial_table
from tunesmith.storage.tables.session_table import ItemState, SessionRow
from tunesmith.storage.timestamps import now, seconds_between


async def n_failed(source: Source, states: list[ItemState]) -> int:
    """How many trials of these searches could not be evaluated."""
    return await trial_table.count_failed(source, [s.optimization_id for s in states if s.optimization_id])


async def reply_of(context: Context, session: SessionRow, source: Source, *, detailed: bool = False) -> SessionReply:
    """Where a session stands; with its items where `detailed`. Within a write, `source` is its connection."""
    states = await session_table.states(source, session.id)
    n_done = sum(state.n_done for state in states)
    n_trials = sum(state.n_trials for state in states)
    seconds = sum(filter(None, (_seconds(state) for state in states)))
    speed = n_done / seconds if seconds > 0 and n_done else None
    job = context.tasks.jobs.get(session.id)
    best = _best(states, msgspec.json.decode(session.optimization_target))
    return build(
        SessionReply,
        session,
        session_id=session.id,
        optimization_target=msgspec.json.decode(session.optimization_target),
        n_items=len(states),
        n_trials=n_trials,
        n_done=n_done,
        n_failed=await n_failed(source, states),
        progress=n_done / n_trials if n_trials else 1.0,
        items_by_status=dict(Counter(state.status or "waiting" for state in states)),
        eta_s=job.eta_s if job is not None and session.status == "running" else None,
        ms_per_trial=1000.0 / speed if speed else None,
        best=None if best is None else _item(best),
        items=[_item(state) for state in states] if detailed else None,
        request=session.request if detailed else None,
        label=session.request.get("label"),
    )


def _best(states: list[ItemState], target: Any) -> ItemState | None:
    found = [state for state in states if state.best_score is not None]
    if not found:
        return None
    descending = best_first("score", target)
    return (max if descending else min)(found, key=lambda state: state.best_score or 0.0)


def _seconds(state: ItemState) -> float | None:
    if state.started_at is None:
        return None
    return seconds_between(state.started_at, state.completed_at or now())


def _item(state: ItemState) -> SessionItem:
    return build(SessionItem, state, seconds=_seconds(state))


def trial_of(symbol: str, strategy_id: str, optimization_id: str, row: trial_table.TrialRow) -> SessionTrial:
    """A trial as the wire shows it."""
    return build(SessionTrial, row, symbol=symbol, strategy_id=strategy_id, optimization_id=optimization_id)
