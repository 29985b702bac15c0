"""Work of a request whose reply somebody waits for, such as an analysis: it is no task, and its answer is the reply."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tunesmith.protocol.catalog import Call
from tunesmith.services.requests.operator_rights import USUAL_PRIORITY
from tunesmith.services.runtime.context import Context
from tunesmith.workers.chunks.payloads import Timed
from tunesmith.workers.executor import Chunk


async def waited_answer(context: Context, call: Call, chunk: Chunk, timeout_s: float) -> Any:
    """The chunk's answer: an operator's before all other work, a bot's in turn with the work of others.

    Such a chunk may take as long as the request has time, so a bot's are at work on no more than half of the workers.
    """
    workers = context.settings.workers
    async with _turn(context, call):
        answer = await context.executor.run(
            chunk,
            priority=0 if call.role == "operator" else USUAL_PRIORITY,
            timeout_s=timeout_s,
            memory_mb=workers.memory_mb,
            user=call.user,
        )
    return answer.value if isinstance(answer, Timed) else answer


@contextlib.asynccontextmanager
async def _turn(context: Context, call: Call) -> AsyncIterator[None]:
    if call.role == "operator":
        yield
        return
    turns = context.answering.get(call.user)
    if turns is None:
        turns = context.answering[call.user] = asyncio.Semaphore(max(1, context.settings.n_workers // 2))
    async with turns:
        yield
