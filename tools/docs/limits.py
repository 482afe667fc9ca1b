"""The section "Limits" of docs/use/api.md: every number is the code's own."""

from typing import Any

from turnlog.access_settings import SIGNED_IN_LIMITS
from turnlog.api.edge.parameters import MAX_KEY_LENGTH, MAX_METADATA_FILTERS, MAX_TYPES
from turnlog.api.edge.requests import BODY_BYTES, MAX_LEVELS, MESSAGE_BODY_BYTES
from turnlog.api.resources import document
from turnlog.api.shapes.events import EVENT_BYTES, MAX_EVENTS
from turnlog.domain.content import MAX_CONTENT_BYTES, MAX_PARTS, MAX_TEXT_BYTES
from turnlog.domain.ids import PUBLIC_ID_PATTERN
from turnlog.domain.pages import MAX_RESPONSE_BYTES
from turnlog.domain.patch import MAX_OPERATIONS, MAX_PATCH_BYTES
from turnlog.domain.project_document import MAX_DOCUMENT_BYTES
from turnlog.domain.session import MAX_METADATA_BYTES
from turnlog.domain.values import MAX_ANSWER_BYTES, MAX_ARGUMENTS_BYTES, MAX_INLINE_RESPONSE_BYTES, MAX_TOOL_CALLS
from turnlog.services.projects.rooms import MAX_SESSIONS
from turnlog.services.turns.submit import FULL_AT_BYTES
from turnlog.settings import Settings

_PER_PROCESS = """
The limits of an owner hold for each process: an app on several instances lets through as many times more. Without
sign-in (`AUTH_MODE=none`) there is one owner, who has no limits unless the settings set them. At the limit of turns,
retries with an `Idempotency-Key` and messages that steer a turn are still accepted: they start none."""


def limits_section() -> str:
    rows = [f"| {what} | {limit} | {beyond} |" for what, limit, beyond in _limits()]
    return (
        "\n".join(
            ["\n## Limits\n", "| what | limit | beyond it |", "| --- | --- | --- |", *rows, *_pages(), _PER_PROCESS]
        )
        + "\n"
    )


def _limits() -> list[tuple[str, str, str]]:
    schemas = document()["components"]["schemas"]
    event_type, name = schemas["OutsideEvent"]["properties"]["event_type"], _text(schemas, "session_name")
    producer = next(each for each in _reads("/sessions/{session_id}/events", "post") if each["name"] == "producer-id")
    invalid, rated, per_owner = "422 `invalid_request`", "429 `rate_limited`", SIGNED_IN_LIMITS
    return [
        ("a body", f"{_size(BODY_BYTES)}; of a message {_size(MESSAGE_BODY_BYTES)}", "413 `too_large`"),
        ("its nesting", f"{MAX_LEVELS} levels", invalid),
        ("a message's text", f"{_size(MAX_TEXT_BYTES)}, not blank", invalid),
        (
            "a message's parts",
            f"{MAX_PARTS}, and {_size(MAX_CONTENT_BYTES)} as JSON, with pictures, sound and files",
            invalid,
        ),
        ("`metadata`", f"{_size(MAX_METADATA_BYTES)} as JSON", invalid),
        ("names", f"{name['maxLength']} characters", invalid),
        ("your own `session_id`", f"{_code(PUBLIC_ID_PATTERN)}, except `.` and `..`", invalid),
        ("events sent at once", f"1 to {MAX_EVENTS}, of {_size(EVENT_BYTES)} each", invalid),
        ("`event_type`", f"{_code(event_type['pattern'])}, except those of this service: next line", invalid),
        ("reserved `event_type`", _code(event_type["not"]["pattern"]), invalid),
        ("`Idempotency-Key`", f"1 to {MAX_KEY_LENGTH} characters", invalid),
        ("`Producer-Id`", f"1 to {producer['schema']['maxLength']} characters", invalid),
        ("`Producer-Id`, `-Epoch`, `-Seq`", "all three or none, and then no `Idempotency-Key`", invalid),
        (
            "messages that wait in a session",
            f"`QUEUE_LIMIT`, {Settings.model_fields['queue_limit'].default} by default",
            "429 `queue_full`",
        ),
        ("`types`", f"{MAX_TYPES} names or patterns, of 64 characters each", invalid),
        ("`metadata.<key>` of a list", f"{MAX_METADATA_FILTERS} keys", invalid),
        (
            "requests of an owner in a second",
            _of_owner("MAX_REQUESTS_PER_SECOND", per_owner.requests_per_second),
            rated,
        ),
        ("open streams of an owner", _of_owner("MAX_STREAMS", per_owner.streams), rated),
        ("turns of an owner at once", f"{_of_owner('MAX_TURNS', per_owner.turns)}; parked ones don't count", rated),
        ("a session's log", _size(FULL_AT_BYTES), "409 `session_full` for messages"),
        ("a project's document", _size(MAX_DOCUMENT_BYTES), "422 `invalid_document`"),
        (
            "the VibeCoder's patch",
            f"{_size(MAX_PATCH_BYTES)}, {MAX_OPERATIONS} operations",
            "back to the model; the third one fails the turn with `invalid_patch`",
        ),
        ("the text of a step, a tool's response", f"{_size(MAX_ANSWER_BYTES)} as stored", "cut, and `truncated`"),
        ("the arguments of a step's tool calls", f"{_size(MAX_ARGUMENTS_BYTES)} as stored", "the call fails"),
        ("the tool calls of a step", f"{MAX_TOOL_CALLS}", "the others fail without being run"),
        ("a tool's response in an event", _size(MAX_INLINE_RESPONSE_BYTES), "a link in its place"),
    ]


def _pages() -> list[str]:
    """Every list that has pages, and how long they are."""
    lists = [
        f"| `{path}` | {limit['default']} | {limit['maximum']} |"
        for path, methods in document()["paths"].items()
        for limit in [each["schema"] for each in _reads(path, "get") if each.get("name") == "limit"]
        if "get" in methods
    ]
    head = ["", "| pages of | entries by default | maximum |", "| --- | --- | --- |"]
    sizes = f"\nEvery page ends before it is larger than {_size(MAX_RESPONSE_BYTES)}. It has one entry at least."
    return [*head, *lists, f"| the `init` of a room | {MAX_SESSIONS} | {MAX_SESSIONS} |", sizes]


def _reads(path: str, method: str) -> list[dict[str, Any]]:
    return document()["paths"][path].get(method, {}).get("parameters", [])


def _of_owner(setting: str, number: int | None) -> str:
    return f"`{setting}`, {number} by default"


def _text(schemas: dict[str, Any], name: str) -> dict[str, Any]:
    kinds = schemas["CreateSession"]["properties"][name]["anyOf"]
    return next(kind for kind in kinds if kind["type"] == "string")


def _size(number: int) -> str:
    return f"{number // 1024**3} GB" if number >= 1024**3 else f"{number // 1024} KB"


def _code(pattern: str) -> str:
    """A pattern as code in a table, where a bar would end the cell."""
    return f"`{pattern}`".replace("|", "\\|")
