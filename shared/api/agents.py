"""HTTP function of agents: what can be picked for a message."""

from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response
from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12

from shared.agents.declaration import Agent
from shared.agents.registry import AGENTS, DEFAULT_AGENT, step_limit
from shared.agents.tools import ClientTool, Tool
from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.principal import caller
from shared.api.edge.responses import ok
from shared.wiring import services

bp = df.Blueprint()


class ToolView(TypedDict):
    """A tool of an agent. `client`: the client runs it, and the turn waits for its result."""

    name: str
    description: str
    parameters: dict[str, Any]
    requires_approval: bool
    idempotent: bool
    client: bool


class AgentView(TypedDict):
    """An agent. `model` is that of messages which name none; `output_schema` that of its last answer, if it has one."""

    name: str
    description: str
    model: str
    tools: list[ToolView]
    max_steps: int
    output_schema: dict[str, Any] | None


class AgentList(TypedDict):
    """`default` is the agent of messages that name none, in sessions that name none."""

    agents: list[AgentView]
    default: str
    trace_id: str


@bp.route("agents", methods=["GET"])
@endpoint
@describes(Answer(200, "The agents", AgentList))
async def list_agents(req: Request) -> Response:
    """List the agents with their tools."""
    body: AgentList = {
        "agents": [_view(agent) for agent in AGENTS.values()],
        "default": DEFAULT_AGENT,
        "trace_id": caller(req).trace_id,
    }
    return ok(body)


def _view(agent: Agent) -> AgentView:
    settings = services().settings
    return {
        "name": agent.name,
        "description": agent.description,
        "model": agent.model or settings.model,
        "tools": [_tool_view(tool) for tool in agent.tools],
        "max_steps": step_limit(agent.name, settings.max_steps),
        "output_schema": None if agent.output_type is None else agent.output_type.model_json_schema(),
    }


def _tool_view(tool: Tool | ClientTool) -> ToolView:
    runs_here = isinstance(tool, Tool)
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "requires_approval": runs_here and tool.requires_approval,
        "idempotent": runs_here and tool.idempotent,
        "client": not runs_here,
    }
