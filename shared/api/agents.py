"""HTTP function of agents: list the agents that can answer a message."""

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.agents.registry import AGENTS, DEFAULT_AGENT
from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.principal import caller_of
from shared.api.edge.responses import ok
from shared.api.shapes.agents import AgentList, agent_view
from shared.wiring import services

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
