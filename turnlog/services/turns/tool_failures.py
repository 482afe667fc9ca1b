"""Tools that fail: the same failure may be corrected by the model a few times, then it fails the turn."""

from dataclasses import dataclass

from turnlog.agents.declaration import Agent
from turnlog.agents.tools import MAX_TOOL_FAILURES, Tool
from turnlog.domain.ids import SessionId
from turnlog.domain.stored_documents import Message, Step, StepDocument, ToolResult
from turnlog.domain.values import Failure, ToolCall
from turnlog.ports import Documents
from turnlog.services.log.steps import load_step


@dataclass(frozen=True)
class RequestedCall:
    """A call, the step that requests it, and the agent whose tool it calls."""

    session_id: SessionId
    agent: Agent
    step: StepDocument
    call: ToolCall

    @property
    def is_first_of_its_tool(self) -> bool:
        """Whether the step's earlier calls are calls of other tools."""
        return _first_call(self.step.step, self.call.name) == self.call.id


async def find_fatal_failure(
    documents: Documents, called: RequestedCall, result: ToolResult | None = None
) -> Failure | None:
    """Why the turn fails with this call: its tool has failed too often. The same at every execution.

    `result` is the call's result; without it, the recorded one is read.
    """
    name, session_id = called.call.name, called.session_id
    tool = called.agent.find_tool(name)
    if not isinstance(tool, Tool) or tool.failure_code is None or not called.is_first_of_its_tool:
        return None
    message = await documents.get(Message, session_id, called.step.message_id)
    if message is None or message.patch is not None:
        return None
    steps = [await load_step(documents, message, number) for number in range(1, called.step.number)]
    earlier = [first for step in steps if (first := _first_call(step, name))]
    result = result or await documents.get(ToolResult, session_id, called.call.id)
    results = [result, *[await documents.get(ToolResult, session_id, call_id) for call_id in earlier]]
    failures = [each for each in results if each is not None and each.outcome.status == "failed"]
    if result not in failures or len(failures) <= MAX_TOOL_FAILURES:
        return None
    return Failure(code=tool.failure_code, message=failures[0].outcome.response["error"])


def _first_call(step: Step, name: str) -> str | None:
    """The first call of a tool in a step."""
    return next((call.id for call in step.tool_calls if call.name == name), None)
