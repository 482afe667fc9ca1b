"""What clients see of projects, and of what sessions used."""

from typing import Any

from pydantic import AwareDatetime, BaseModel
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from shared.domain.ids import ProjectId, SessionId
from shared.domain.project import Project
from shared.domain.usage import UsageSum
from shared.domain.values import Usage, UsageRow

SCHEMA_LINK = "/api/schemas/project-document"


class ProjectView(BaseModel):
    """A project. `revision` counts its changes and is its ETag; `document_schema` is where the document's schema is."""

    id: ProjectId
    name: str
    document: dict[str, Any]
    revision: int
    document_schema: str = SCHEMA_LINK
    created_at: AwareDatetime
    updated_at: AwareDatetime
    trace_id: str | None = None

    @classmethod
    def of(cls, project: Project, trace_id: str | None = None) -> "ProjectView":
        fields: dict[str, Any] = {name: getattr(project, name) for name in cls.model_fields if hasattr(project, name)}
        return cls(**fields, trace_id=trace_id)


class ProjectPage(TypedDict):
    projects: list[ProjectView]
    next_cursor: str | None
    trace_id: str


class UsageCount(Usage):
    """Tokens, and in how many model calls."""

    calls: int


class _UsageReport(BaseModel):
    usage: Usage
    sessions: int
    rows: list[UsageRow]
    models: dict[str, UsageCount]
    agents: dict[str, UsageCount]
    trace_id: str

    @classmethod
    def fields_of(cls, used: UsageSum, trace_id: str) -> dict[str, Any]:
        return {
            "usage": used.usage,
            "sessions": used.sessions,
            "rows": used.rows,
            "models": _counts(used.by("model")),
            "agents": _counts(used.by("agent")),
            "trace_id": trace_id,
        }


class ProjectUsage(_UsageReport):
    """What all sessions of a project used, deleted ones included: together, by agent and model, by each of them."""

    project_id: ProjectId

    @classmethod
    def of(cls, project_id: ProjectId, used: UsageSum, trace_id: str) -> "ProjectUsage":
        return cls(project_id=project_id, **cls.fields_of(used, trace_id))


class SessionUsage(_UsageReport):
    """What a session used: together, by agent and model, by each of them."""

    session_id: SessionId

    @classmethod
    def of(cls, session_id: SessionId, used: UsageSum, trace_id: str) -> "SessionUsage":
        return cls(session_id=session_id, **cls.fields_of(used, trace_id))


def _counts(rows: dict[str, UsageRow]) -> dict[str, UsageCount]:
    return {name: UsageCount(**row.model_dump(exclude={"agent", "model"})) for name, row in rows.items()}
