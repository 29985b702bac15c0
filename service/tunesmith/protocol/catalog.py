"""The table of message types: request, reply, who may send it, and whether it changes something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from tunesmith.protocol.envelope import Reply, Request, Role
from tunesmith.protocol.messages import (
    analysis,
    audit,
    backtests,
    markets,
    optimizations,
    packages,
    plans,
    replays,
    schedules,
    server,
    sessions,
    strategies,
    tasks,
    verdicts,
    walkforwards,
)


class MessageType(NamedTuple):
    """One row: `changes` makes the request's id idempotent; `role` is the least role that may send it."""

    name: str
    request: type[Request]
    reply: type[Reply]
    changes: bool = False
    role: Role = "bot"


MESSAGES: dict[str, MessageType] = {
    message.name: message
    for message in (
        MessageType("ping", server.Ping, server.Pong),
        MessageType("server.info", server.ServerInfo, server.ServerInfoReply),
        MessageType("schema.get", server.GetSchema, server.SchemaReply),
        MessageType("workers.resize", server.ResizeWorkers, server.WorkersReply, True, "operator"),
        MessageType("strategy.create", strategies.CreateStrategy, strategies.StrategyReply, True, "operator"),
        MessageType("strategy.get", strategies.GetStrategy, strategies.StrategyReply),
        MessageType("strategy.list", strategies.ListStrategies, strategies.StrategyList),
        MessageType("strategy.update", strategies.UpdateStrategy, strategies.StrategyReply, True, "operator"),
        MessageType("strategy.delete", strategies.DeleteStrategy, strategies.StrategyDeleted, True, "operator"),
        MessageType("strategy.approve", verdicts.ApproveStrategy, verdicts.VerdictReply, True, "operator"),
        MessageType("backtest.start", backtests.StartBacktest, backtests.BacktestStarted, True),
        MessageType("backtest.status", backtests.BacktestStatus, backtests.BacktestStatusReply),
        MessageType("backtest.cancel", backtests.CancelBacktest, backtests.BacktestStatusReply, True),
        MessageType("optimization.start", optimizations.StartOptimization, optimizations.OptimizationStarted, True),
        MessageType("optimization.status", optimizations.OptimizationStatus, optimizations.OptimizationStatusReply),
        MessageType("optimization.results", optimizations.OptimizationResults, optimizations.OptimizationResultsReply),
        MessageType(
            "optimization.cancel", optimizations.CancelOptimization, optimizations.OptimizationStatusReply, True
        ),
        MessageType(
            "optimization.resume", optimizations.ResumeOptimization, optimizations.OptimizationStatusReply, True
        ),
        MessageType("optimization.analyze", analysis.AnalyzeOptimization, analysis.AnalysisReply),
        MessageType("optimization.compare", analysis.CompareOptimizations, analysis.ComparisonReply),
        MessageType("optimization.export", analysis.ExportOptimization, analysis.ExportReply),
        MessageType("search.plan", plans.PlanSearch, plans.SearchPlanReply),
        MessageType("session.plan", sessions.PlanSession, sessions.SessionPlan),
        MessageType("session.generate", sessions.GenerateSession, sessions.SessionReply, True),
        MessageType("session.execute", sessions.ExecuteSession, sessions.SessionReply, True),
        MessageType("session.status", sessions.SessionStatus, sessions.SessionReply),
        MessageType("session.cancel", sessions.CancelSession, sessions.SessionReply, True),
        MessageType("session.list", sessions.ListSessions, sessions.SessionList),
        MessageType("session.results", sessions.SessionResults, sessions.SessionResultsReply),
        MessageType("session.clean", sessions.CleanSessions, sessions.SessionsCleaned, True),
        MessageType("schedule.create", schedules.CreateSchedule, schedules.ScheduleReply, True, "operator"),
        MessageType("schedule.list", schedules.ListSchedules, schedules.ScheduleList),
        MessageType("schedule.delete", schedules.ScheduleById, schedules.ScheduleReply, True, "operator"),
        MessageType("walkforward.start", walkforwards.StartWalkForward, walkforwards.WalkForwardReply, True),
        MessageType("walkforward.status", walkforwards.WalkForwardById, walkforwards.WalkForwardReply),
        MessageType("verdict.status", verdicts.VerdictById, verdicts.VerdictReply),
        MessageType("verdict.get", verdicts.VerdictById, verdicts.VerdictReply),
        MessageType("verdict.list", verdicts.ListVerdicts, verdicts.VerdictList),
        MessageType("verdict.plan", plans.PlanVerdict, plans.VerdictPlanReply),
        MessageType("verdict.replay", replays.ReplayVerdict, replays.ReplayReply, True),
        MessageType("replay.status", replays.ReplayStatus, replays.ReplayReply),
        MessageType("package.latest", packages.LatestPackage, packages.PackageReply),
        MessageType("package.get", packages.GetPackage, packages.PackageReply),
        MessageType("package.list", packages.ListPackages, packages.PackageList),
        MessageType("package.revoke", packages.RevokePackage, packages.PackageReply, True, "operator"),
        MessageType("package.rollback", packages.RollbackPackage, packages.PackageReply, True, "operator"),
        MessageType("package.ack", packages.AcknowledgePackage, packages.PackageAck, True),
        MessageType("report.get", backtests.GetReport, backtests.Report),
        MessageType("report.list", backtests.ListReports, backtests.ReportList),
        MessageType("task.list", tasks.ListTasks, tasks.TaskList),
        MessageType("task.cancel", tasks.CancelTask, tasks.TaskSummary, True),
        MessageType("task.logs", tasks.TaskLogs, tasks.TaskLogsReply),
        MessageType("data.list", markets.ListData, markets.DataList),
        MessageType("data.import", markets.ImportData, markets.ImportReport, True, "operator"),
        MessageType("data.show", markets.ShowData, markets.DataShown),
        MessageType("data.remove", markets.RemoveData, markets.DataRemoved, True, "operator"),
        MessageType("audit.list", audit.ListAudit, audit.AuditList, False, "operator"),
        MessageType("events.snapshot", server.EventsSnapshot, server.EventsReply),
        MessageType("events.replay", server.EventsReplay, server.EventsReply),
    )
}
"""Every message type by its name on the wire."""


class Call(msgspec.Struct, frozen=True):
    """What a handler knows of a request beside its data.

    `deadline` is in the event loop's time (seconds); `door` is requests, inbox or http.
    """

    type: str
    id: str
    user: str
    role: Role
    door: str
    deadline: float
    client: str | None = None

    def remaining(self) -> float:
        """Seconds left until the deadline, never negative; call it on the loop."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


class Written(NamedTuple):
    """A reply with its JSON, which is made once for all who are sent it."""

    reply: Reply
    text: bytes


async def finished(made: Reply | Written | Awaitable[Reply]) -> Reply:
    """The reply that a handler has made or is making."""
    if isinstance(made, Written):
        return made.reply
    return made if isinstance(made, Reply) else await made


Handler = Callable[..., Reply | Written | Awaitable[Reply]]
"""`async (request, call) -> reply`, or a plain function where the reply is at hand; a `TunesmithError` refuses."""
