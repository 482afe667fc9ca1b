"""Small values that events, documents and decisions share."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    PlainSerializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from turnlog.domain.sizes import truncate
from turnlog.domain.tolerance import OPEN, UnknownField

TurnOutcome: TypeAlias = Annotated[Literal["completed", "failed", "cancelled"], OPEN]
MessageStatus: TypeAlias = Annotated[
    Literal["queued", "running", "requires_action", "completed", "failed", "cancelled", "withdrawn"], OPEN
]
RunStatus: TypeAlias = Annotated[Literal["running", "finished"], OPEN]
ToolStatus: TypeAlias = Annotated[Literal["completed", "failed", "cancelled", "denied"], OPEN]
ActionKind: TypeAlias = Annotated[Literal["approval", "client_tool"], OPEN]
ActionDecision: TypeAlias = Annotated[Literal["approve", "deny", "result"], OPEN]
OnBusy: TypeAlias = Annotated[Literal["enqueue", "reject", "interrupt", "steer"], OPEN]
Count = Annotated[int, Field(ge=0)]
Ordinal = Annotated[int, Field(ge=1)]
Detail: TypeAlias = Annotated[Count, Field(exclude_if=lambda count: count == 0)]
"""A count that many servers do not report: it is left out if it is 0."""

Cost: TypeAlias = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""An amount of money with at most nine digits after the point, in the currency of `MODEL_PRICES`.

It is a number in JSON. Its shortest form is exact up to a million; sums are computed in decimals.
"""

OptionalCost: TypeAlias = Annotated[Cost | None, Field(exclude_if=lambda cost: cost is None)]
"""Left out where it is not known: no call had a price."""

# All sizes of texts are those of `size_as_sent`.

MAX_INLINE_TEXT_BYTES = 32 * 1024
"""A text up to this size is in the event itself. A larger one is in a document that the event names."""

MAX_STATE_TEXT_BYTES = 1024
"""The arguments of a call that waits are in the state up to this size. The state is part of most batches."""

MAX_MESSAGE_BYTES = 8 * 1024
"""The message of an error is cut off at this size."""

MAX_INLINE_RESPONSE_BYTES = 64 * 1024
"""A tool response up to this size is in the event itself. For a larger one the event has a link."""

MAX_STEP_BYTES = 896 * 1024
"""All texts of a step together: an append has room for them, and for the largest state."""

MAX_ANSWER_BYTES = 512 * 1024
"""The text of a step, and each tool result, are truncated at this size."""

MAX_REASONING_BYTES = 32 * 1024
"""Of a step's reasoning, this much is in its document and its event. The deltas have more."""

MAX_ARGUMENTS_BYTES = 512 * 1024
"""A step's tool call arguments together. A call whose arguments exceed it fails."""

MAX_VENDOR_BYTES = 128 * 1024
"""A step's vendor fields together: larger ones are not stored."""

MAX_TOOL_CALLS = 64
"""The tool calls of a step that are run; as many more are answered when the step ends. All fit into one batch."""

_DETAILS = frozenset({"cached_tokens", "reasoning_tokens"})


class Frozen(BaseModel):
    """An immutable value. Unknown fields are an error, so that no typo is taken for data.

    Only what comes from a store may have more fields: see `turnlog.domain.tolerance`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, UnknownField] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    def known_fields(self, *without: str) -> dict[str, Any]:
        """The fields of this release, except `without`."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in without}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with the fields of `update`, which are not validated. It keeps the unknown fields."""
        copied = super().model_copy(deep=deep)
        if update:
            if not update.keys() <= self.__pydantic_fields__.keys():
                raise TypeError(f"{type(self).__name__} has no field {update.keys() - self.__pydantic_fields__.keys()}")
            # What pydantic does itself for a model without unknown fields, which is a hot path of the fold.
            vars(copied).update(update)
            copied.__pydantic_fields_set__.update(update)
        return copied

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        handler.resolve_ref_schema(described)["additionalProperties"] = False
        return described


def _shortened(text: str) -> str:
    return truncate(text, MAX_MESSAGE_BYTES)[0]


class Failure(Frozen):
    """Why a turn failed, in words that a client can act on. A server may ask to wait `retry_after` seconds."""

    code: str
    message: Annotated[str, AfterValidator(_shortened)]
    retryable: bool = False
    retry_after: Count | None = None


def _without_details(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema.get("required", ()) if name not in _DETAILS]


class Usage(Frozen):
    """Token counts from the model's server.

    `cached_tokens` are prompt tokens that the server had in its cache. `reasoning_tokens` are completion tokens that
    are no part of the answer. Both are left out if they are 0: many servers do not count them.
    """

    model_config = ConfigDict(json_schema_extra=_without_details)

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count = 0
    cached_tokens: Detail = 0
    reasoning_tokens: Detail = 0

    def __add__(self, other: "Usage") -> Self:
        """`self` with the counts of both. What this release does not know stays as it is."""
        return self.model_copy(update={name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})


def add_costs(one: Cost | None, other: Cost | None) -> Cost | None:
    """The sum of what is known; None if neither is known."""
    if one is None or other is None:
        return one if other is None else other
    return one + other


class UsageRow(Usage):
    """The tokens that one agent used of one model, in `calls` model calls, and the cost of those that had a price."""

    agent: str
    model: str
    calls: Count = 0
    cost: OptionalCost = None

    def with_row(self, other: "UsageRow") -> Self:
        """The sum of both rows, with the agent and the model of `self`."""
        more = {"calls": self.calls + other.calls, "cost": add_costs(self.cost, other.cost)}
        return (self + other).model_copy(update=more)


ARGUMENTS_TOO_LARGE = (
    f"The arguments of a step's tool calls may take {MAX_ARGUMENTS_BYTES // 1024} KB together; these were cut off, and"
    " the call was not run."
)
"""Why a call with such arguments is refused."""


class ToolCall(Frozen):
    """A tool call that the model requested. `arguments` is the JSON text exactly as the model wrote it.

    `vendor` are fields that only this model's server knows, and that it wants back with the call. `refused` is why the
    call fails without being run.
    """

    id: str
    name: str
    arguments: str
    vendor: dict[str, JsonValue] = {}
    refused: str | None = Field(default=None, exclude_if=lambda refused: refused is None)


@dataclass(frozen=True)
class Piece:
    """A part of a model's answer as it arrives.

    A piece of `arguments` continues the tool call number `call`, from 0, of the tool `name` as far as it is known.
    """

    kind: Literal["text", "reasoning", "arguments"]
    text: str
    call: int | None = None
    name: str = ""


class ToolOutcome(Frozen):
    """The outcome of a tool call. `response` is JSON, or text if the tool returned text."""

    status: ToolStatus
    response: Any = None
    truncated: bool = False
