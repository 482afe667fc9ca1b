"""The request bodies of projects."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue

from shared.agents.registry import PROJECT_AGENT
from shared.api.shapes.bodies import Body, Name
from shared.domain.project_document import NodeId

ProjectName = Annotated[str, Field(min_length=1, max_length=256)]
_DOCUMENT = "valid against `GET /api/schemas/project-document`, at most 256 KB"
_STORYTELLER: dict[str, JsonValue] = {"nodes": {"teller": {"name": "Storyteller", "instructions": "Tell a story."}}}


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class CreateProject(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Stories", "document": _STORYTELLER}]})

    name: ProjectName
    document: dict[str, JsonValue] | None = Field(None, description=f"{_DOCUMENT}; without one it has no nodes")


class UpdateProject(Body):
    """RFC 7396: what is absent stays, null clears, objects merge."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"document": {"nodes": {"teller": {"model": "gpt"}}}}]})

    name: ProjectName = Field("", json_schema_extra=_without_default)
    document: dict[str, JsonValue] | None = Field(None, description=f"changes to it; the result is {_DOCUMENT}")


class StartSession(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"node_id": "teller"}]})

    node_id: NodeId | None = Field(None, description="whose session it is; without one it is the project's own")
    session_name: Name | None = None
    agent_name: Name = PROJECT_AGENT
