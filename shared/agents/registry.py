"""The agents there are: add one here."""

from shared.agents.assistant import ASSISTANT
from shared.agents.declaration import Agent
from shared.agents.raffle import RAFFLE
from shared.agents.vibecoder import VIBECODER
from shared.domain.errors import AgentNotFoundError

AGENTS: dict[str, Agent] = {agent.name: agent for agent in (ASSISTANT, VIBECODER, RAFFLE)}
DEFAULT_AGENT = ASSISTANT.name
PROJECT_AGENT = VIBECODER.name
"""The default in the sessions of projects."""


def step_limit(name: str, most: int) -> int:
    """How many model calls a turn of the agent may make, `most` at most; it may have been removed meanwhile."""
    agent = AGENTS.get(name)
    return most if agent is None or agent.max_steps is None else min(agent.max_steps, most)


def agent_named(name: str | None) -> Agent:
    """The agent called `name`, or the default one.

    Raises:
        AgentNotFoundError: there is none of that name.
    """
    agent = AGENTS.get(name or DEFAULT_AGENT)
    if agent is None:
        raise AgentNotFoundError(f"There is no agent {name!r}; there are: {', '.join(sorted(AGENTS))}.")
    return agent
