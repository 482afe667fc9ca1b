"""The declaration of an agent: instructions, model, tools, output, and how much of the conversation it gets."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from turnlog.agents.tools import ClientTool, Tool, tool
from turnlog.domain.options import check_headers, check_options
from turnlog.domain.values import ActionKind, ToolCall


@dataclass(frozen=True)
class Agent:
    """To add an agent, declare it at the top level of a module in the folder AGENTS_DIR.

    Attributes:
        tools: functions, or what `tool` made of them, and tools that the client runs.
        model: the model of messages that name none. None: the setting MODEL.
        output_type: the type of its last answer, as JSON. Another answer fails the turn.
        max_steps: the maximum number of model calls in a turn, if it is below the setting MAX_STEPS.
        memory_messages: how many of the newest messages, with their answers, a model call gets.
        memory_bytes: how many bytes of them: large tool results are shortened, then the oldest turns are left out.
        model_options: fields of the request to the model's server, for example `{"temperature": 0}`. They replace those
            of the setting MODEL_OPTIONS; None takes a field out.
        model_headers: headers of that request. They replace those of the setting MODEL_HEADERS.
        works_on_project: its model calls get the document of the session's project, which its tools change.
    """

    name: str
    description: str
    instructions: str
    tools: Sequence[Tool | ClientTool | Callable[..., Any]] = ()
    model: str | None = None
    output_type: type[BaseModel] | None = None
    max_steps: int | None = None
    memory_messages: int = 100
    memory_bytes: int = 400_000
    works_on_project: bool = False
    model_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model_headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        """Raises ValueError: an option or a header can't be sent. TypeError: a tool is not a function."""
        _ = self.known_tools
        for field_name, check in (("model_options", check_options), ("model_headers", check_headers)):
            try:
                check(getattr(self, field_name))
            except ValueError as error:
                raise ValueError(f"agent {self.name}: {field_name} {error}") from None

    @cached_property
    def known_tools(self) -> tuple[Tool | ClientTool, ...]:
        """Its tools; of each function, the tool that `tool(function)` makes."""
        return tuple(each if isinstance(each, Tool | ClientTool) else tool(each) for each in self.tools)

    def find_tool(self, name: str) -> Tool | ClientTool | None:
        """The tool that a model calls by `name`. Some models put a namespace before it, as in `functions.search`."""
        known = {each.name: each for each in self.known_tools}
        return known.get(name) or known.get(re.split(r"[.:/]", name)[-1])

    def output_problem(self, answer: str) -> str | None:
        """What is wrong with a last answer. None if it matches `output_type`."""
        if self.output_type is None:
            return None
        try:
            self.output_type.model_validate_json(answer)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            return f"The answer is not a {self.output_type.__name__}: {problems}"
        return None

    def required_action(self, call: ToolCall) -> ActionKind | None:
        """The action that `call` needs from outside: an approval, or a result of the client. None if it needs none."""
        if call.refused is not None:
            return None
        match self.find_tool(call.name):
            case ClientTool():
                return "client_tool"
            # A call with wrong arguments can't run, so it needs no approval.
            case Tool(requires_approval=True) as found if found.argument_problem(call.arguments) is None:
                return "approval"
            case _:
                return None
