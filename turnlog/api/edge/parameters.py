"""Query parameters and headers, each declared once: handlers read them, and the API description shows them."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from turnlog.domain.errors import CursorGoneError, FieldProblem, InvalidRequestError
from turnlog.timings import MAX_WAIT

INCARNATION = r"-[A-Za-z0-9]{1,16}"
"""The end of a cursor that names its incarnation."""
MAX_TYPES = 32
_EVENT_TYPE = "[A-Za-z0-9_.:*-]{0,64}"


@dataclass(frozen=True)
class Parameter:
    """A named value in the query or in a header. `description` is a phrase in Markdown."""

    name: str
    description: str
    _: KW_ONLY
    location: Literal["query", "header"] = "query"

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its values."""
        return {"type": "string"}

    @property
    def is_checked(self) -> bool:
        """Whether some values are refused."""
        return self.schema != {"type": "string"}

    def error(self, expected: str) -> InvalidRequestError:
        """The error for a value that is not as `expected`."""
        detail = f"{self.name} must be {expected}"
        pointer = f"?{self.name}" if self.location == "query" else ""
        return InvalidRequestError(f"{detail}.", (FieldProblem(pointer, detail),))


@dataclass(frozen=True)
class Text(Parameter):
    """Any text. `pattern` and `max_length` are only described; the reader checks them."""

    _: KW_ONLY
    pattern: str | None = None
    max_length: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        limits = {"pattern": self.pattern, "maxLength": self.max_length}
        return {"type": "string", **{name: limit for name, limit in limits.items() if limit is not None}}

    def read(self, values: Mapping[str, str]) -> str | None:
        return values.get(self.name)


@dataclass(frozen=True)
class CommaList(Parameter):
    def read(self, values: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(filter(None, values.get(self.name, "").split(",")))


@dataclass(frozen=True)
class EventTypes(Parameter):
    """A comma-separated list of event types, and of patterns in which `*` stands for any text."""

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_EVENT_TYPE}(,{_EVENT_TYPE}){{0,{MAX_TYPES - 1}}}$"}

    def read(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Raises InvalidRequestError: there are too many patterns, or one holds what no event type does."""
        parts = values.get(self.name, "").split(",")
        if len(parts) > MAX_TYPES or not all(re.fullmatch(_EVENT_TYPE, part) for part in parts):
            raise self.error(
                f"at most {MAX_TYPES} names or patterns of letters, digits and `_.:*-`, each of at most 64"
            )
        return tuple(filter(None, parts))


@dataclass(frozen=True)
class Integer(Parameter):
    """An integer. The default is shown unless sending it differs from leaving it out."""

    _: KW_ONLY
    default: int
    maximum: int
    minimum: int = 0
    is_default_shown: bool = True

    @property
    def schema(self) -> dict[str, Any]:
        default = {"default": self.default} if self.is_default_shown else {}
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum, **default}

    def read(self, values: Mapping[str, str]) -> int:
        """Raises InvalidRequestError: the value is not an integer, or out of range."""
        text = values.get(self.name)
        if text is None:
            return self.default
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII) or not self.minimum <= int(text) <= self.maximum:
            raise self.error(f"an integer from {self.minimum} to {self.maximum}")
        return int(text)


@dataclass(frozen=True)
class Cursor(Parameter):
    """A sequence, alone or as the `id:` of a frame, which also names the incarnation of the log.

    The default is not shown: a client that sends it says where to begin, and one that leaves it out does not.
    """

    _: KW_ONLY
    default: int

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": rf"^[0-9]{{1,15}}({INCARNATION})?$"}

    def read(self, values: Mapping[str, str], incarnation: str) -> int:
        """The sequence.

        Raises:
            InvalidRequestError: the value is not a cursor.
            CursorGoneError: it is from another incarnation of the log than the current one.
        """
        text = values.get(self.name)
        if text is None:
            return self.default
        if not re.fullmatch(self.schema["pattern"], text):
            raise self.error("a sequence from 0 to 999999999999999, or the `id:` of a frame")
        return int(require_current(text, incarnation))


def require_current(cursor: str, incarnation: str) -> str:
    """`cursor` without its incarnation. One that names none is taken for a cursor of the current log.

    Raises:
        CursorGoneError: it is from another incarnation.
    """
    position, _, named = cursor.partition("-")
    if named and named != incarnation:
        raise CursorGoneError
    return position


def cursor_text(position: int | str, incarnation: str) -> str:
    """The cursor for a client: it is refused once a restore has begun another incarnation of the log."""
    return f"{position}-{incarnation}"


@dataclass(frozen=True)
class Choice(Parameter):
    _: KW_ONLY
    allowed: tuple[str, ...]
    default: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        default = {} if self.default is None else {"default": self.default}
        return {"type": "string", "enum": list(self.allowed), **default}

    def read(self, values: Mapping[str, str]) -> str | None:
        """Raises InvalidRequestError: the value is not allowed."""
        text = values.get(self.name)
        if text is not None and text not in self.allowed:
            raise self.error(" or ".join(self.allowed))
        return self.default if text is None else text


@dataclass(frozen=True)
class Flag(Parameter):
    _: KW_ONLY
    default: bool | None = None

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", **({} if self.default is None else {"default": self.default})}

    def read(self, values: Mapping[str, str]) -> bool | None:
        """Raises InvalidRequestError: the value is neither `true` nor `false`."""
        text = values.get(self.name)
        if text not in {None, "true", "false"}:
            raise self.error("true or false")
        return self.default if text is None else text == "true"


MAX_SEQUENCE = 10**15 - 1
MAX_WAIT_SECONDS = int(MAX_WAIT.total_seconds())
MAX_KEY_LENGTH = 256

AFTER = Cursor("after", "cursor: read the events after this sequence or `id:`; 0 is the beginning", default=0)
BEFORE = Cursor("before", "only events before this sequence or `id:`", default=MAX_SEQUENCE)
LAST_EVENT_ID = Cursor("last-event-id", "the last `id:` you received; overrides `after`", location="header", default=0)
PAGE_LIMIT = Integer("limit", "the maximum number of entries", default=50, minimum=1, maximum=200)
PAGE_CURSOR = Text("cursor", "the `next_cursor` of the previous page")

STATUS = Choice("status", "only sessions with this status", allowed=("running", "finished"))
AGENT_NAME = Text("agent_name", "only sessions with this agent")
ARCHIVED = Flag("archived", "`true`: only archived sessions; `false`: only the others")
MAX_METADATA_FILTERS = 10
METADATA = Text(
    "metadata.<key>",
    f"only sessions whose metadata has this text under the key; at most {MAX_METADATA_FILTERS} keys",
)
SESSION_LISTING = (STATUS, AGENT_NAME, ARCHIVED, METADATA, PAGE_LIMIT, PAGE_CURSOR)

PREFER = Text(
    "prefer",
    f"`wait=N` (seconds, at most {MAX_WAIT_SECONDS}), `respond-async`, or both (RFC 7240)",
    location="header",
)
IDEMPOTENCY_KEY = Text(
    "idempotency-key",
    "a retry with the same key and body returns the result of the first request; kept for 24 hours",
    location="header",
    pattern=r"\S",
    max_length=MAX_KEY_LENGTH,
)
TRACEPARENT = Text("traceparent", "W3C trace context: the trace of the request", location="header")
IF_MATCH = Text("if-match", "change only this version, named by its `etag`; otherwise 412", location="header")
IF_NONE_MATCH = Text("if-none-match", "the `etag` of the version you have", location="header")

TRACE_ID = Text("x-trace-id", "the trace of the request", location="header", pattern="^[0-9a-f]{32}$")
SESSION_ID = Text("x-session-id", "the session of the request", location="header")
LOCATION = Text("location", "where to read the result", location="header")
PREFERENCE_APPLIED = Text("preference-applied", "the preferences that were followed", location="header")
REPLAYED = Choice(
    "idempotency-replayed", "an earlier request with the same key did the work", location="header", allowed=("true",)
)
RETRY_AFTER = Integer(
    "retry-after",
    "try again after this many seconds",
    location="header",
    default=2,
    maximum=3600,
    is_default_shown=False,
)
NEXT_PAGE = Text("link", 'the next page, with `rel="next"`', location="header")
ETAG = Text("etag", "the version of this answer", location="header")
