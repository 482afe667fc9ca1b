"""Projects: what a client sends to create, change or use one, and what it reads."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, JsonValue
from typing_extensions import TypedDict

from turnlog.agents.registry import PROJECT_AGENT
from turnlog.api.shapes.common import Body, BudgetBody, Name, with_example
from turnlog.domain.budget import Budget
from turnlog.domain.deletion import Deletion
from turnlog.domain.ids import ProjectId
from turnlog.domain.project import Project
from turnlog.domain.project_document import NodeId

SCHEMA_LINK = "/api/schemas/project-document"

ProjectName = Annotated[str, Field(min_length=1, max_length=256)]
_VALID = f"valid against `GET {SCHEMA_LINK}`, at most 256 KB"
_STORYTELLER: dict[str, JsonValue] = {"nodes": {"teller": {"name": "Storyteller", "instructions": "Tell a story."}}}


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class CreateProject(Body):
    model_config = with_example(name="Stories", document=_STORYTELLER)

    name: ProjectName
    document: dict[str, JsonValue] | None = Field(None, description=f"{_VALID}; if absent, a document without nodes")
    budget: BudgetBody | None = Field(None, description="of all sessions of the project together")


class UpdateProject(Body):
    """RFC 7396: absent fields stay as they are, null clears a field, objects are merged."""

    model_config = with_example(document={"nodes": {"teller": {"model": "gpt"}}})

    name: ProjectName = Field("", json_schema_extra=_without_default)
    document: dict[str, JsonValue] | None = Field(
        None, description=f"changes to the document; the result must be {_VALID}"
    )
    budget: BudgetBody | None = Field(None, description="of all sessions of the project together; null: no budget")


class StartSession(Body):
    model_config = with_example(node_id="teller")

    node_id: NodeId | None = Field(
        None, description="the node that the session is for; if absent, it is for the whole project"
    )
    session_name: Name | None = None
    agent_name: Name = Field(PROJECT_AGENT, description=f"the session's agent; if absent: `{PROJECT_AGENT}`")


class ProjectView(BaseModel):
    """A project. `revision` counts its changes and is its ETag. `document_schema` is the path of its schema."""

    id: ProjectId
    name: str
    document: dict[str, Any]
    revision: int
    document_schema: str = SCHEMA_LINK
    budget: Budget | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    trace_id: str | None = None

    @classmethod
    def of(cls, project: Project, trace_id: str | None = None) -> "ProjectView":
        fields: dict[str, Any] = {name: getattr(project, name) for name in cls.model_fields if hasattr(project, name)}
        return cls(**fields, trace_id=trace_id)


class DeletionView(BaseModel):
    """How far the deletion of a project is.

    `status` is `deleting` until no session is left, then `deleted`. `deleted` counts the sessions that are deleted,
    `listed` those that were found up to now. What is found is deleted page by page, so `listed` grows until the end.
    """

    project_id: ProjectId
    status: Literal["deleting", "deleted"]
    deleted: int
    listed: int
    requested_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    trace_id: str | None = None

    @classmethod
    def of(cls, project_id: ProjectId, deletion: Deletion, trace_id: str) -> "DeletionView":
        return cls(
            project_id=project_id,
            status="deleting" if deletion.ended_at is None else "deleted",
            deleted=deletion.deleted,
            listed=deletion.listed,
            requested_at=deletion.requested_at,
            ended_at=deletion.ended_at,
            trace_id=trace_id,
        )


class ProjectPage(TypedDict):
    projects: list[ProjectView]
    next_cursor: str | None
    trace_id: str
