"""Tool calls: the decision or result that a client sends, and what is answered."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, JsonValue, model_validator
from typing_extensions import TypedDict

from turnlog.api.shapes.common import Body, with_example
from turnlog.domain.ids import MessageId, PublicId, TurnId
from turnlog.domain.session import Action
from turnlog.domain.values import ActionDecision, ActionKind, ToolStatus


class Approval(Body):
    model_config = with_example(decision="approve")

    decision: Literal["approve", "deny"]
    reason: str | None = Field(None, max_length=1024, description="why the call is denied; the model reads it")


def _require_result_or_error(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["result"]}, {"required": ["error"]}]
    schema["properties"]["error"] = {"type": "string", "maxLength": 4096, "description": "why there is no result"}
    schema["examples"] = [{"result": "Ann, Ben and Cem take part."}]


class ClientResult(Body):
    """The result of a tool that the client ran, or the error why there is none."""

    model_config = ConfigDict(json_schema_extra=_require_result_or_error)

    result: JsonValue = Field(None, description="any JSON value, also null")
    error: str | None = Field(None, max_length=4096)

    @model_validator(mode="after")
    def _has_result_or_error(self) -> "ClientResult":
        if len(self.model_fields_set) != 1 or ("error" in self.model_fields_set and self.error is None):
            raise ValueError("send either result or error")
        return self


class RequiredAction(TypedDict):
    """A tool call that a turn waits for: the call needs an approval, or a result from the client."""

    call_id: str
    kind: ActionKind
    name: str
    arguments: str
    expires_at: AwareDatetime


def required_actions(open_actions: Mapping[str, Action]) -> list[RequiredAction]:
    return [
        {
            "call_id": call_id,
            "kind": action.kind,
            "name": action.name,
            "arguments": action.arguments,
            "expires_at": action.expires_at,
        }
        for call_id, action in open_actions.items()
    ]


class DecisionReceipt(TypedDict):
    """`required_action` lists what the turn still waits for. When it is empty, the turn continues."""

    session_id: PublicId
    turn_id: TurnId
    message_id: MessageId
    call_id: str
    decision: ActionDecision
    required_action: list[RequiredAction]
    trace_id: str


class ToolCallResult(TypedDict):
    """A tool call and its whole response."""

    id: str
    session_id: PublicId
    message_id: MessageId
    trace_id: str
    step: int
    name: str
    arguments: str
    status: ToolStatus
    response: JsonValue
    truncated: bool
    duration_ms: int
