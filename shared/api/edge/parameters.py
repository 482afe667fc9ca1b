"""Query parameters and headers, declared once: handlers read them, the API's description shows them."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from shared.domain.errors import FieldProblem, InvalidRequestError
from shared.timings import MAX_WAIT


@dataclass(frozen=True)
class Parameter:
    """A named text beside the body. `says` is a phrase in Markdown."""

    name: str
    says: str
    _: KW_ONLY
    place: Literal["query", "header"] = "query"

    @property
    def schema(self) -> dict[str, Any]:
        """Its values, as JSON Schema."""
        return {"type": "string"}

    @property
    def is_checked(self) -> bool:
        """Whether some texts are refused."""
        return self.schema != {"type": "string"}

    def refusal(self, wanted: str) -> InvalidRequestError:
        """The error for a value that isn't what is `wanted`."""
        detail = f"{self.name} takes {wanted}"
        pointer = f"?{self.name}" if self.place == "query" else ""
        return InvalidRequestError(f"{detail}.", (FieldProblem(pointer, detail),))


@dataclass(frozen=True)
class Text(Parameter):
    _: KW_ONLY
    pattern: str | None = None
    most_length: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        limits = {"pattern": self.pattern, "maxLength": self.most_length}
        return {"type": "string", **{name: limit for name, limit in limits.items() if limit is not None}}

    def of(self, values: Mapping[str, str]) -> str | None:
        return values.get(self.name)


@dataclass(frozen=True)
class CommaList(Parameter):
    def of(self, values: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(filter(None, values.get(self.name, "").split(",")))


@dataclass(frozen=True)
class Integer(Parameter):
    _: KW_ONLY
    default: int
    most: int
    least: int = 0

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "default": self.default}

    def of(self, values: Mapping[str, str]) -> int:
        """Raises InvalidRequestError: it is no whole number, or out of range."""
        text = values.get(self.name)
        if text is None:
            return self.default
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not self.least <= int(text) <= self.most:
            raise self.refusal(f"a whole number from {self.least} to {self.most}")
        return int(text)


@dataclass(frozen=True)
class Choice(Parameter):
    _: KW_ONLY
    allowed: tuple[str, ...]
    default: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        default = {} if self.default is None else {"default": self.default}
        return {"type": "string", "enum": list(self.allowed), **default}

    def of(self, values: Mapping[str, str]) -> str | None:
        """Raises InvalidRequestError: it is none of those allowed."""
        text = values.get(self.name)
        if text is not None and text not in self.allowed:
            raise self.refusal(f"one of {', '.join(self.allowed)}")
        return self.default if text is None else text


@dataclass(frozen=True)
class Flag(Parameter):
    _: KW_ONLY
    default: bool | None = None

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", **({} if self.default is None else {"default": self.default})}

    def of(self, values: Mapping[str, str]) -> bool | None:
        """Raises InvalidRequestError: it is neither `true` nor `false`."""
        text = values.get(self.name)
        if text not in {None, "true", "false"}:
            raise self.refusal("true or false")
        return self.default if text is None else text == "true"


MAX_SEQUENCE = 10**15 - 1
MAX_WAIT_SECONDS = int(MAX_WAIT.total_seconds())
MAX_KEY_LENGTH = 256

AFTER = Integer("after", "cursor: the sequence after which to read; 0 is the beginning", default=0, most=MAX_SEQUENCE)
LAST_EVENT_ID = Integer(
    "last-event-id",
    "the last `id:` that was seen; goes before `after`",
    place="header",
    default=0,
    most=MAX_SEQUENCE,
)
PREFER = Text(
    "prefer",
    f"`wait=N` (seconds, at most {MAX_WAIT_SECONDS}), `respond-async`, or both (RFC 7240)",
    place="header",
)
IDEMPOTENCY_KEY = Text(
    "idempotency-key",
    "a retry with the same key and body finds what the first request made; kept for 24 hours",
    place="header",
    pattern=r"\S",
    most_length=MAX_KEY_LENGTH,
)
TRACEPARENT = Text("traceparent", "W3C trace context: the trace that the request belongs to", place="header")

TRACE_ID = Text("x-trace-id", "the request's trace", place="header", pattern="^[0-9a-f]{32}$")
SESSION_ID = Text("x-session-id", "the session it is about", place="header")
LOCATION = Text("location", "where to go on", place="header")
PREFERENCE_APPLIED = Text("preference-applied", "which preferences were followed", place="header")
REPLAYED = Choice("idempotency-replayed", "an earlier request with this key did it", place="header", allowed=("true",))
RETRY_AFTER = Integer("retry-after", "seconds after which to try again", place="header", default=2, most=3600)
NEXT_PAGE = Text("link", 'the next page, as `rel="next"`', place="header")
ETAG = Text("etag", "this version of it", place="header")
IF_MATCH = Text("if-match", "the `etag` that the change is meant for; at another it is refused", place="header")
IF_NONE_MATCH = Text("if-none-match", "the `etag` you have", place="header")
