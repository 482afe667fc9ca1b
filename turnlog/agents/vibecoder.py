"""The VibeCoder: it changes a project's document by a patch in a tool call."""

from typing import Annotated, Any

from pydantic import Field

from turnlog.agents.context import ToolContext
from turnlog.agents.declaration import Agent
from turnlog.agents.tools import ToolError, tool
from turnlog.domain.errors import ProjectNotFoundError
from turnlog.domain.patch import MAX_OPERATIONS, InvalidPatchError, Operation


async def propose_patch(
    context: ToolContext, patch: Annotated[list[Operation], Field(min_length=1, max_length=MAX_OPERATIONS)]
) -> dict[str, Any]:
    """Change the project's document by a JSON Patch (RFC 6902), applied completely or not at all.

    One patch a turn: put all operations into one call.
    """
    try:
        revision = await context.projects.apply(context, patch)
    except (InvalidPatchError, ProjectNotFoundError) as error:
        raise ToolError(str(error)) from error
    return {"project_revision": revision}


VIBECODER = Agent(
    name="vibecoder",
    description="Builds and changes the project's document by patches.",
    instructions=(
        "You work on a project: a JSON document that describes agents, each under its own name in `nodes`, with name, "
        "instructions, model, tools and handoffs. When the user asks for a change, call propose_patch once, with a "
        "JSON Patch (RFC 6902) that holds all operations; then say briefly what you changed. If the patch is "
        "refused, read why and propose a better one. When nothing is to be changed, answer in words only."
    ),
    tools=(tool(propose_patch, idempotent=True, failure_code="invalid_patch"),),
    works_on_project=True,
)
