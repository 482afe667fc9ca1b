"""The page docs/use/events.md: every event type and its fields, from the code."""

from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from tools.docs.headings import anchor
from turnlog.api.shapes.events import PRIVATE_FIELDS
from turnlog.domain.budget import Budget
from turnlog.domain.events import EVENT_TYPES, ForkedFrom, MessageQueued, Outside, SessionUpdated, UserMessage
from turnlog.domain.fold import UPDATABLE
from turnlog.domain.values import Failure, Usage

_HEAD = """# Events

Generated from `turnlog/domain/events.py` by `make docs`; do not edit.

An event is `{sequence, type, session_id, turn_id, message_id, trace_id, timestamp, data}`. Sequences are 1, 2, 3 … in
each session, without a gap. Ignore types that you do not know.

`data` has the fields below, and `session_id`. If the event belongs to a turn, it also has `turn_id` and `message_id`.
The fields below are always sent, except those that may be left out. A field without a value is `null`, if its type
below allows that. In the event itself, `turn_id` and `message_id` are `null` if there is no turn.

| on a stream | `id:` | `event:` | `data:` |
| --- | --- | --- | --- |
| by default | the cursor | the type | the event's `data`, as one line of JSON |
| with `?format=envelope` | the cursor | no such line | the whole event |

A reader shows every word once if it clears a step's text on `message.start`: see [start](start.md#read-a-stream).
"""
_CONTENT = "text or list of parts, as it was [sent](start.md#pictures-sound-and-files)"
_FOOT = """
## Not in the log

| frame | data |
| --- | --- |
| `done` | `session_id`, `head`, `incarnation`, `reason` (`finished`, `deleted`): nothing more will come |

Resume each stream that ends without `done`. A cursor is the event's sequence and the log's incarnation, as in
`42-8f14e45f`; a sequence alone is taken as well. A restore of the sessions changes the incarnation. A cursor from
before it is refused with 410 `cursor_gone`, because its sequence may hold another event now: read from the beginning.
"""


def events_page() -> str:
    return _HEAD + "".join(_section(kind) for kind in EVENT_TYPES if kind is not Outside) + _outside() + _FOOT


def _section(kind: type[BaseModel]) -> str:
    name = kind.model_fields["type"].default
    rows = [
        f"| `{field}` | {_CONTENT if field == 'content' else _type_of_field(info)} |"
        for field, info in kind.model_fields.items()
        if field not in PRIVATE_FIELDS and kind is not SessionUpdated
    ]
    if kind in {UserMessage, MessageQueued}:
        rows.append("| `text` | text: `content`, with a name for each picture or file |")
    table = "\n".join(["| field | type |", "| --- | --- |", *rows]) if rows else "No other fields."
    if kind is SessionUpdated:
        table = f"Only the fields that changed, of {', '.join(f'`{field}`' for field in sorted(UPDATABLE))}."
    return f"\n## `{name}`\n\n{_summary(kind)}\n\n{table}\n"


def _outside() -> str:
    fields = "Its fields are in `data`, with `origin: outside`, and also at the top level of the event."
    return f"\n## Any other type\n\n{_summary(Outside)} {fields}\n"


def _summary(kind: type[BaseModel]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _type_of_field(info: FieldInfo) -> str:
    """The type of a field. One that is left out if it is null is never null in an event."""
    found = _type_of(info.annotation)
    return f"{found.removesuffix(' or null')}, or left out" if info.exclude_if is not None else found


def _type_of(annotation: Any) -> str:
    names = {"str": "text", "int": "whole number", "bool": "true or false", "NoneType": "null"}
    if annotation is Decimal:
        return "number"
    if annotation is AwareDatetime:
        return "timestamp"
    if annotation in {Budget, Usage, Failure, ForkedFrom}:
        return f"[{annotation.__name__}](api.md#{anchor(annotation.__name__)})"
    if isinstance(annotation, type):
        return names[annotation.__name__]
    inner, origin = get_args(annotation), get_origin(annotation)
    if origin is dict:
        return "object" if inner[1] is not int else _type_of(Usage)  # the only counts by name in an event
    if origin is list:
        return f"list of {_type_of(inner[0])}s"
    if origin is Annotated:
        return _type_of(inner[0])
    if origin in {UnionType, Union}:
        return " or ".join(map(_type_of, inner))
    if inner and all(isinstance(value, str) for value in inner):
        return ", ".join(f"`{value}`" for value in inner)
    return _type_of(inner[0]) if inner else "JSON"
