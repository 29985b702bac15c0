"""Messages about strategies."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tunesmith.domain.names import Id, Name, Version
from tunesmith.domain.parameters import Parameter, ParamValues
from tunesmith.protocol.envelope import Limit, Offset, Reply, Request

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]
Params = Annotated[ParamValues, msgspec.Meta(max_length=64)]


class CreateStrategy(Request, frozen=True, kw_only=True):
    """`strategy.create`: a new strategy in the rule language. Refused with line and column when it does not parse."""

    id: Id
    code: Code
    name: Name | None = None
    version: Version = "1.0"
    default_params: Params = {}


class UpdateStrategy(Request, frozen=True, kw_only=True):
    """`strategy.update`: a new version; older ones stay readable and runnable."""

    id: Id
    version: Version
    code: Code | None = None
    name: Name | None = None
    default_params: Params | None = None


class GetStrategy(Request, frozen=True, kw_only=True):
    """`strategy.get`: the newest version, or the one named."""

    id: Id
    version: Version | None = None


class DeleteStrategy(Request, frozen=True, kw_only=True):
    """`strategy.delete`: takes it out of listings; what names it stays readable."""

    id: Id


class ListStrategies(Request, frozen=True, kw_only=True):
    """`strategy.list`: the newest version of each, without code."""

    limit: Limit = 100
    offset: Offset = 0


class StrategyReply(Reply, frozen=True, kw_only=True):
    """A strategy with its parsed parameters.

    `kind` is rule (in the language) or kernel (compiled: part of the product, or installed by the operator). Without
    parameters is one that is installed no more, or in another version.
    """

    id: str
    name: str
    version: str
    kind: str
    code: str
    code_hash: str
    default_params: ParamValues
    parameters: list[Parameter]
    parameters_schema: dict[str, Any]
    """JSON Schema (draft 2020-12) of what `params` may hold."""
    doc: str
    versions: list[str]
    created_at: str
    updated_at: str


class StrategySummary(Reply, frozen=True, kw_only=True):
    id: str
    name: str
    version: str
    kind: str
    default_params: ParamValues
    doc: str


class StrategyList(Reply, frozen=True, kw_only=True):
    strategies: list[StrategySummary]
    total: int


class StrategyDeleted(Reply, frozen=True, kw_only=True):
    id: str
    deleted: bool
