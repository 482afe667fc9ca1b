"""The agents of this process: those that are built in, and those of the folder AGENTS_DIR."""

from pathlib import Path

from turnlog.agents.assistant import ASSISTANT
from turnlog.agents.declaration import Agent
from turnlog.agents.discovery import find_agents
from turnlog.agents.vibecoder import VIBECODER
from turnlog.domain.errors import AgentNotFoundError

BUILT_IN: dict[str, Agent] = {agent.name: agent for agent in (ASSISTANT, VIBECODER)}
AGENTS: dict[str, Agent] = dict(BUILT_IN)
DEFAULT_AGENT = ASSISTANT.name
PROJECT_AGENT = VIBECODER.name
"""The default agent in sessions of projects."""

_DEFAULT_FOLDERS = (Path("agents"), Path("examples/agents"))
"""The second one is only in a copy of the repository: it is not deployed."""


def agents_folder(named: Path | None) -> Path | None:
    """The folder of the agents: `named`, or a default one. None if neither is there."""
    return named or next((each for each in _DEFAULT_FOLDERS if each.is_dir()), None)


def load_agents(folder: Path | None) -> None:
    """Find the agents in `folder`, and use them from now on, with those that are built in.

    An agent in the folder replaces a built-in one of the same name.

    Raises:
        AgentMistakesError: they can't be used. The agents are those of before.
    """
    use_agents({} if folder is None else find_agents(folder))


def use_agents(found: dict[str, Agent]) -> None:
    """Use the agents in `found` and those that are built in, and no others. An agent in both is never missing."""
    new = {**BUILT_IN, **found}
    AGENTS.update(new)
    for name in AGENTS.keys() - new.keys():
        del AGENTS[name]


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
