"""Projects: what a client sends to create, change or use one, and what it reads."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, JsonValue
from typing_extensions import TypedDict

from turnlog.agents.registry import PROJECT_AGENT
from turnlog.api.shapes.common import Body, BudgetBody, Name, with_example
from turnlog.domain.budget import Budget
from turnlog.domain.deletion import Deletion
from turnlog.domain.ids import ProjectId
from turnlog.domain.project import Project
from turnlog.domain.project_document import NodeId
from turnlog.domain.tolerance import FROM_STORE
from turnlog.domain.webhooks import MAX_URL_LENGTH, MAX_WEBHOOKS, Webhook, WebhookEvent, is_secret
from turnlog.services.projects.webhooks import WantedWebhook

SCHEMA_LINK = "/api/schemas/project-document"

ProjectName = Annotated[str, Field(min_length=1, max_length=256)]
_VALID = f"valid against `GET {SCHEMA_LINK}`, at most 256 KB"
_STORYTELLER: dict[str, JsonValue] = {"nodes": {"teller": {"name": "Storyteller", "instructions": "Tell a story."}}}


_URL = r"^https://([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}(:[1-9][0-9]{0,3})?(/[!-\x22$-\[\]-~]*)?$"
"""What every service accepts. The others are checked where the settings are known. A quote would break generators."""

_SECRET = r"^whsec_([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"  # noqa: S105


def _secret(value: str) -> str:
    if not is_secret(value):
        raise ValueError("takes 24 to 64 bytes as base64, after whsec_")
    return value


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class WebhookBody(Body):
    """A receiver of signed events (docs/use/webhooks.md)."""

    url: Annotated[str, Field(max_length=MAX_URL_LENGTH, json_schema_extra={"pattern": _URL})]
    events: Annotated[list[WebhookEvent], Field(min_length=1)] = list(get_args(get_args(WebhookEvent)[0]))
    secret: Annotated[str, Field(pattern=_SECRET), AfterValidator(_secret)] | None = Field(
        None, description="if absent, the service makes one and returns it once"
    )

    @property
    def wanted(self) -> WantedWebhook:
        return WantedWebhook(self.url, self.events, self.secret)


_Webhooks = Annotated[list[WebhookBody], Field(max_length=MAX_WEBHOOKS)]


class CreateProject(Body):
    model_config = with_example(name="Stories", document=_STORYTELLER)

    name: ProjectName
    document: dict[str, JsonValue] | None = Field(None, description=f"{_VALID}; if absent, a document without nodes")
    budget: BudgetBody | None = Field(None, description="of all sessions of the project together")
    webhooks: _Webhooks = []


class UpdateProject(Body):
    """RFC 7396: absent fields stay as they are, null clears a field, objects are merged."""

    model_config = with_example(document={"nodes": {"teller": {"model": "gpt"}}})

    name: ProjectName = Field("", json_schema_extra=_without_default)
    document: dict[str, JsonValue] | None = Field(
        None, description=f"changes to the document; the result must be {_VALID}"
    )
    budget: BudgetBody | None = Field(None, description="of all sessions of the project together; null: no budget")
    webhooks: _Webhooks | None = Field(
        None, description="all webhooks of the project; one whose URL is there already keeps its secret"
    )


class StartSession(Body):
    model_config = with_example(node_id="teller")

    node_id: NodeId | None = Field(
        None, description="the node that the session is for; if absent, it is for the whole project"
    )
    session_name: Name | None = None
    agent_name: Name = Field(PROJECT_AGENT, description=f"the session's agent; if absent: `{PROJECT_AGENT}`")


class WebhookView(BaseModel):
    """A webhook. `secret` is there only in the answer to the request for which the service made it."""

    id: str
    url: str
    events: list[WebhookEvent]
    secret: Annotated[str | None, Field(exclude_if=lambda secret: secret is None)] = None
    created_at: AwareDatetime


class ProjectView(BaseModel):
    """A project. `revision` counts its changes and is its ETag. `document_schema` is the path of its schema."""

    id: ProjectId
    name: str
    document: dict[str, Any]
    revision: int
    document_schema: str = SCHEMA_LINK
    budget: Budget | None = None
    webhooks: list[WebhookView] = []
    created_at: AwareDatetime
    updated_at: AwareDatetime
    trace_id: str | None = None

    @classmethod
    def of(
        cls, project: Project, trace_id: str | None = None, accepted: Sequence[tuple[Webhook, bool]] = ()
    ) -> "ProjectView":
        """The view of `project`, with the secrets that were made for the `accepted` webhooks of this request."""
        fields: dict[str, Any] = {name: getattr(project, name) for name in cls.model_fields if hasattr(project, name)}
        made = {webhook.secret for webhook, was_given in accepted if not was_given}
        shown = [
            {**webhook.known_fields("secret"), "secret": webhook.secret if webhook.secret in made else None}
            for webhook in project.webhooks
        ]
        return cls.model_validate({**fields, "webhooks": shown, "trace_id": trace_id}, context=FROM_STORE)


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
