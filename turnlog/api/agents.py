"""HTTP function of agents: list the agents that can answer a message."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from turnlog.agents.registry import AGENTS, DEFAULT_AGENT
from turnlog.api.description.describes import Answer, describes
from turnlog.api.edge.endpoint import endpoint
from turnlog.api.edge.principal import caller_of
from turnlog.api.edge.responses import ok
from turnlog.api.shapes.agents import AgentList, agent_view
from turnlog.wiring import services

bp = df.Blueprint()


@bp.route("agents", methods=["GET"])
@endpoint
@describes(Answer(200, "The agents", AgentList))
async def list_agents(req: Request) -> Response:
    """List the agents with their tools."""
    body: AgentList = {
        "agents": [agent_view(agent, services().settings) for agent in AGENTS.values()],
        "default": DEFAULT_AGENT,
        "trace_id": caller_of(req).trace_id,
    }
    return ok(body)
