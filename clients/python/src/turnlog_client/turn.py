"""One turn folded from its events: what the user wrote, and the steps of the answer with their tool calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from turnlog_client.events import Event
from turnlog_client.values import ActionKind, Failure, Usage

TurnStatus: TypeAlias = Literal["running", "completed", "failed", "cancelled"]
ToolStatus: TypeAlias = Literal["writing", "running", "waiting", "completed", "failed", "cancelled", "denied"]


@dataclass
class UserPart:
    """A message of the user. A turn has several if others were sent into it while it ran (`steer`)."""

    message_id: str
    content: Any
    text: str
    kind: Literal["user"] = "user"


@dataclass
class ToolCall:
    """A tool call. `writing`: the model still writes `arguments`. `waiting`: for an approval, or for the client."""

    id: str
    name: str = ""
    arguments: str = ""
    attempt: int = 1
    status: ToolStatus = "writing"
    response: Any = None
    duration_ms: int | None = None
    waits_for: ActionKind | None = None
    decision: Literal["approve", "deny", "result"] | None = None


@dataclass
class Step:
    """One model call with the tools that it requested. `attempt` above 1: the step started again after a failure.

    `is_partial`: the turn was cancelled while the text was written. `revision` grows with each change.
    """

    number: int
    attempt: int = 1
    reasoning: str = ""
    text: str = ""
    tools: list[ToolCall] = field(default_factory=list[ToolCall])
    is_complete: bool = False
    is_partial: bool = False
    finish_reason: str | None = None
    revision: int = 0
    kind: Literal["step"] = "step"


Part: TypeAlias = UserPart | Step


@dataclass
class Turn:
    """A turn. `patch` is what it changed in its project (RFC 6902). `revision` grows with each change."""

    id: str
    status: TurnStatus = "running"
    agent: str = ""
    model: str = ""
    is_cancelling: bool = False
    is_stalled: bool = False
    error: Failure | None = None
    patch: list[dict[str, Any]] | None = None
    project_revision: int | None = None
    usage: Usage | None = None
    duration_ms: int | None = None
    started_at: str = ""
    parts: list[Part] = field(default_factory=list[Part])
    revision: int = 0

    @property
    def steps(self) -> list[Step]:
        """The steps of the answer, in order."""
        return [part for part in self.parts if isinstance(part, Step)]

    @property
    def answer(self) -> str:
        """The text of the answer: that of all steps."""
        return "\n\n".join(step.text for step in self.steps if step.text)

    def apply(self, event: Event) -> None:
        """Read the next event of this turn."""
        self.revision += 1
        data = event.data
        match event.type:
            case "user_message":
                self.parts.append(UserPart(event.message_id or "", data["content"], data["text"]))
            case "run.start":
                self.agent, self.model, self.started_at = data["agent"], data["model"], event.timestamp
            case "status":
                self.is_cancelling = self.is_cancelling or data["status"] == "cancelling"
                self.is_stalled = data["status"] == "stalled"
            case "vibecode_response":
                self.patch, self.project_revision = data["patch"], data["project_revision"]
            case "run.complete":
                self._finish(data)
            case "message.start" | "message.delta" | "reasoning.delta" | "message.complete":
                self._apply_to_step(event.type, data)
            case _:
                self._apply_to_tool(event.type, data)

    def remove_message(self, message_id: str) -> None:
        """Take out a message that gets a turn of its own: no step of this one has read it."""
        for part in self.parts:
            if isinstance(part, UserPart) and part.message_id == message_id:
                self.parts.remove(part)
                self.revision += 1
                return

    def _finish(self, data: Mapping[str, Any]) -> None:
        self.status = data["status"]
        self.error = data["error"]
        self.usage = data["usage"]
        self.duration_ms = data.get("duration_ms")
        self.model = data.get("model") or self.model
        self.is_cancelling = self.is_stalled = False
        for step in self.steps:
            step.revision += 1  # no longer written

    def _apply_to_step(self, event_type: str, data: Mapping[str, Any]) -> None:
        step = self._changed(data["step"])
        match event_type:
            case "message.start":  # what an earlier attempt wrote is void
                self.is_stalled = False
                step.attempt = data["attempt"]
                step.text = step.reasoning = ""
                step.tools.clear()
                step.is_complete = False
            case "message.delta":
                step.text += data["text"]
            case "reasoning.delta":
                step.reasoning += data["text"]
            case _:
                self._complete_step(step, data)

    def _complete_step(self, step: Step, data: Mapping[str, Any]) -> None:
        self.is_stalled = False
        step.attempt = data["attempt"]
        step.text = data["text"]
        step.reasoning = step.reasoning if data["reasoning"] is None else data["reasoning"]
        step.is_complete = True
        step.is_partial = data["partial"]
        step.finish_reason = data["finish_reason"]

    def _apply_to_tool(self, event_type: str, data: Mapping[str, Any]) -> None:
        match event_type:
            case "tool_call.delta":
                tool = self._tool(data["id"], data["step"])
                tool.name = data["name"] or tool.name
                tool.arguments += data["arguments"]
            case "tool_call.start":
                self.is_stalled = False
                tool = self._tool(data["id"], data["step"])
                tool.name, tool.arguments = data["name"], data["arguments"]
                tool.attempt, tool.status = data["attempt"], "running"
            case "tool_call.action_required":
                tool = self._tool(data["id"])
                tool.name, tool.arguments = data["name"], data["arguments"]
                tool.status, tool.waits_for = "waiting", data["kind"]
            case "tool_call.action":
                tool = self._tool(data["id"])
                tool.decision, tool.status = data["decision"], "running"
            case "tool_call.complete":
                self.is_stalled = False
                self._complete_tool(self._tool(data["id"], data["step"]), data)
            case _:
                pass  # it changes the session, not the turn

    def _complete_tool(self, tool: ToolCall, data: Mapping[str, Any]) -> None:
        tool.name, tool.arguments = data["name"], data["arguments"]
        tool.status = cast("ToolStatus", data["status"])
        tool.response, tool.duration_ms = data["response"], data["duration_ms"]

    def _changed(self, number: int) -> Step:
        """Return the step with this number, counted as changed."""
        step = next((each for each in self.steps if each.number == number), None)
        if step is None:
            step = Step(number)
            self.parts.append(step)
        step.revision += 1
        return step

    def _tool(self, call_id: str, number: int | None = None) -> ToolCall:
        """Return the call with this id; without a `number`, in whatever step it is."""
        steps = self.steps
        if number is None:
            owners = (step.number for step in steps if any(tool.id == call_id for tool in step.tools))
            number = next(owners, steps[-1].number if steps else 1)
        step = self._changed(number)
        tool = next((each for each in step.tools if each.id == call_id), None)
        if tool is None:
            tool = ToolCall(call_id)
            step.tools.append(tool)
        return tool
