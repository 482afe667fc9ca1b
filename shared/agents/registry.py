"""The list of agents. Add a new agent here."""

from shared.agents.assistant import ASSISTANT
from shared.agents.declaration import Agent
from shared.agents.raffle import RAFFLE
from shared.agents.vibecoder import VIBECODER
from shared.domain.errors import AgentNotFoundError

AGENTS: dict[str, Agent] = {agent.name: agent for agent in (ASSISTANT, VIBECODER, RAFFLE)}
DEFAULT_AGENT = ASSISTANT.name
PROJECT_AGENT = VIBECODER.name
"""The default agent in sessions of projects."""


def step_limit(name: str, maximum: int) -> int:
    """The maximum number of model calls in a turn of the agent, at most `maximum`. A removed agent has no own limit."""
    agent = AGENTS.get(name)
    return maximum if agent is None or agent.max_steps is None else min(agent.max_steps, maximum)


def require_agent(name: str | None) -> Agent:
    """The agent with this name. Without a name, the default agent.

    Raises:
        AgentNotFoundError: no agent has this name.
    """
    agent = AGENTS.get(name or DEFAULT_AGENT)
    if agent is None:
        raise AgentNotFoundError(f"There is no agent {name!r}; the agents are: {', '.join(sorted(AGENTS))}.")
    return agent
