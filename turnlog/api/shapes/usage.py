"""Usage: the tokens that a session or a project used, and their cost."""

from typing import Any

from pydantic import BaseModel

from turnlog.api.shapes.common import BudgetView
from turnlog.domain.ids import ProjectId, PublicId
from turnlog.domain.usage import UsageSum
from turnlog.domain.values import OptionalCost, Usage, UsageRow


class UsageCount(Usage):
    """Tokens, the number of model calls that used them, and the cost of those that had a price."""

    calls: int
    cost: OptionalCost = None


class _UsageReport(BaseModel):
    usage: Usage
    cost: OptionalCost = None
    budget: BudgetView | None
    sessions: int
    rows: list[UsageRow]
    models: dict[str, UsageCount]
    agents: dict[str, UsageCount]
    trace_id: str

    @classmethod
    def fields_of(cls, used: UsageSum, trace_id: str) -> dict[str, Any]:
        return {
            "usage": used.usage,
            "cost": used.cost,
            "budget": BudgetView.of(used.budget, used.usage),
            "sessions": used.sessions,
            "rows": used.rows,
            "models": _counts(used.by("model")),
            "agents": _counts(used.by("agent")),
            "trace_id": trace_id,
        }


class ProjectUsage(_UsageReport):
    """What all sessions of a project used, also deleted ones: the total, by agent and model, by agent, and by model."""

    project_id: ProjectId

    @classmethod
    def of(cls, project_id: ProjectId, used: UsageSum, trace_id: str) -> "ProjectUsage":
        return cls(project_id=project_id, **cls.fields_of(used, trace_id))


class SessionUsage(_UsageReport):
    """What a session used: the total, by agent and model, by agent, and by model."""

    session_id: PublicId

    @classmethod
    def of(cls, session_id: PublicId, used: UsageSum, trace_id: str) -> "SessionUsage":
        return cls(session_id=session_id, **cls.fields_of(used, trace_id))


def _counts(rows: dict[str, UsageRow]) -> dict[str, UsageCount]:
    return {name: UsageCount(**row.model_dump(include=set(UsageCount.model_fields))) for name, row in rows.items()}
