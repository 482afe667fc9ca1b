"""What all shapes share: the base of request bodies, common field types, problems, and JSON."""

from datetime import datetime
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import to_json
from typing_extensions import TypedDict  # before Python 3.12 pydantic does not accept the one in `typing`

from turnlog.domain.budget import Budget
from turnlog.domain.faults import FaultDomain
from turnlog.domain.ids import PUBLIC_ID_PATTERN, is_public_id
from turnlog.domain.session import MAX_METADATA_BYTES
from turnlog.domain.values import Usage


class Body(BaseModel):
    """A request body. Unknown fields and wrong types are refused: a typo must not be ignored, nor 1 mean true."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def with_example(**fields: JsonValue) -> ConfigDict:
    """The configuration of a body whose schema shows this example."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def _within_metadata_limit(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(to_json(value)) > MAX_METADATA_BYTES:
        raise ValueError(f"metadata may take at most {MAX_METADATA_BYTES // 1024} KB as JSON")
    return value


def _not_dots(value: str) -> str:
    if not is_public_id(value):
        raise ValueError("`.` and `..` can't be session ids")
    return value


def _without_fraction(value: Any) -> Any:
    """Accept `1.0` as 1: JSON Schema counts it as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Name = Annotated[str, Field(max_length=256)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_within_metadata_limit)]
ChosenSessionId = Annotated[
    str,
    Field(pattern=PUBLIC_ID_PATTERN, json_schema_extra={"not": {"enum": [".", ".."]}}),
    AfterValidator(_not_dots),
]
PositiveInteger = Annotated[int, Field(ge=1), BeforeValidator(_without_fraction)]


class BudgetBody(Body):
    """How many tokens may be used in all, from the beginning on."""

    total_tokens: PositiveInteger


class BudgetView(BaseModel):
    """A budget, and how many tokens of it are not used yet."""

    total_tokens: int
    left_tokens: int

    @classmethod
    def of(cls, budget: Budget | None, used: Usage) -> "BudgetView | None":
        if budget is None:
            return None
        return cls(total_tokens=budget.total_tokens, left_tokens=budget.left_after(used.total_tokens))


class FieldError(TypedDict):
    """A wrong field. `pointer` is a JSON pointer (RFC 6901) into the body, or `?name` for a query parameter."""

    pointer: str
    detail: str


class Problem(TypedDict):
    """An error (RFC 9457). `code` is for programs and never changes. `retryable`: the same request may succeed later.

    `fault_domain` is sent with status 500 and above: it says which part of the system failed.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    trace_id: str
    fault_domain: NotRequired[FaultDomain]
    errors: NotRequired[list[FieldError]]


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, with `Z`."""
    return at.isoformat().replace("+00:00", "Z")


def as_json(value: Any) -> bytes:
    """Compact JSON in UTF-8; timestamps with `Z`."""
    return to_json(value)
