"""What an agent is: instructions, tools, and how much of the conversation it is given."""

from dataclasses import dataclass

from shared.agents.tools import Tool


@dataclass(frozen=True)
class Agent:
    """Declare one in a file of its own and list it in registry.py.

    Attributes:
        max_steps: model calls a turn may make; None leaves it to the setting MAX_STEPS.
        memory_messages: how many of the newest messages, with their answers, a model call is given.
        works_on_project: its model calls are given the document of the session's project, which its tools change.
    """

    name: str
    description: str
    instructions: str
    tools: tuple[Tool, ...] = ()
    max_steps: int | None = None
    memory_messages: int = 100
    works_on_project: bool = False

    def tool(self, name: str) -> Tool | None:
        return next((tool for tool in self.tools if tool.name == name), None)
