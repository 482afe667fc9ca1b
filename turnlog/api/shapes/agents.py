"""Agents: what a client reads of an agent and its tools."""

from typing import Any

from typing_extensions import TypedDict

from turnlog.agents.declaration import Agent
from turnlog.agents.registry import step_limit
from turnlog.agents.tools import ClientTool, Tool
from turnlog.settings import Settings


class ToolView(TypedDict):
    """A tool of an agent. `client`: the client runs the tool, and the turn waits for its result."""

    name: str
    description: str
    parameters: dict[str, Any]
    requires_approval: bool
    idempotent: bool
    client: bool


class AgentView(TypedDict):
    """An agent. `model` serves messages that name no model. `output_schema`, if any, describes its final answer."""

    name: str
    description: str
    model: str
    tools: list[ToolView]
    max_steps: int
    output_schema: dict[str, Any] | None


class AgentList(TypedDict):
    """`default` is the agent that answers when neither the message nor its session names one."""

    agents: list[AgentView]
    default: str
    trace_id: str


def agent_view(agent: Agent, settings: Settings) -> AgentView:
    return {
        "name": agent.name,
        "description": agent.description,
        "model": agent.model or settings.model,
        "tools": [_tool_view(tool) for tool in agent.known_tools],
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
