"""What an agent is: instructions, model, tools, output, and how much of the conversation it is given."""

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from shared.agents.tools import ClientTool, Tool
from shared.domain.values import ActionKind, ToolCall


@dataclass(frozen=True)
class Agent:
    """Declare one in a file of its own and list it in registry.py.

    Attributes:
        model: the model of messages that name none; None leaves it to the setting MODEL.
        output_type: what its last answer is to be, as JSON; an answer that doesn't fit fails the turn.
        max_steps: model calls a turn may make, if that is fewer than the setting MAX_STEPS.
        memory_messages: how many of the newest messages, with their answers, a model call is given.
        works_on_project: its model calls are given the document of the session's project, which its tools change.
    """

    name: str
    description: str
    instructions: str
    tools: tuple[Tool | ClientTool, ...] = ()
    model: str | None = None
    output_type: type[BaseModel] | None = None
    max_steps: int | None = None
    memory_messages: int = 100
    works_on_project: bool = False

    def tool(self, name: str) -> Tool | ClientTool | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    def output_misfit(self, answer: str) -> str | None:
        """What is wrong with a last answer; None if it is what it is to be."""
        if self.output_type is None:
            return None
        try:
            self.output_type.model_validate_json(answer)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            return f"The answer is no {self.output_type.__name__}: {problems}"
        return None

    def action_for(self, call: ToolCall) -> ActionKind | None:
        """What has to come from outside before `call` can be run, or in place of running it."""
        match self.tool(call.name):
            case ClientTool():
                return "client_tool"
            # Nobody is asked to approve what can't be run anyway.
            case Tool(requires_approval=True) as tool if tool.misfit(call.arguments) is None:
                return "approval"
            case _:
                return None
