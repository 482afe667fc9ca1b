"""Writes the generated pages of docs from the code; `--check` only says whether they are up to date."""

import sys
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.api_page import api_page
from shared.api.views import PRIVATE_FIELDS
from shared.domain.events import (
    EventData,
    Outside,
    SessionUpdated,
)
from shared.settings import Settings

_HERE = Path(__file__).parent
_EVENTS_HEAD = """# Events

Generated from `shared/domain/events.py` by `make docs`; do not edit.

An event is `{sequence, type, session_id, turn_id, message_id, trace_id, timestamp, data}`. Sequences are 1, 2, 3 … in
each session, without a gap. `data` holds the fields below and repeats `session_id`, and `turn_id` and `message_id`
where the event belongs to a turn. On a stream `id:` is the sequence, `event:` the type, `data:` the event's `data` as
one line of JSON; with `?format=envelope` there is no `event:` line and `data:` is the whole event. Ignore types you do
not know.

A reader shows every word once if it starts a step's text afresh on `message.start`: see the README.
"""
_EVENTS_FOOT = """
## Not in the log

| frame | data |
| --- | --- |
| `done` | `session_id`, `head`, `reason` (`finished`, `deleted`): nothing more will come |

A stream that ends without `done` is to be resumed.
"""


_SETTINGS_HEAD = """# Settings

Generated from `shared/settings.py` by `make docs`; do not edit.

Environment variables; on one machine also `Values` in `local.settings.json` (copy `local.settings.example.json`), which
the environment overrides. An empty one counts as not set. A wrong or missing one stops the start, naming the variable.

| variable | default | |
| --- | --- | --- |
"""
_SETTINGS_FOOT = """| `PORT`, `HOST` | 7071, 127.0.0.1 | where `make run` listens |
| `HOST_MODE` | what is installed | what `make run` starts: `func` or `local` |
| `LOG_LEVEL` | INFO | for the local host |

In Azure (`WEBSITE_INSTANCE_ID` is present) the app refuses to start without `COSMOS_ENDPOINT` and `OPENAI_BASE_URL`,
and with `AUTH_MODE=none`.
"""


def events_page() -> str:
    types = get_args(get_args(EventData)[0])
    return _EVENTS_HEAD + "".join(_section(kind) for kind in types if kind is not Outside) + _outside() + _EVENTS_FOOT


def settings_page() -> str:
    return _SETTINGS_HEAD + "".join(map(_row, Settings.model_fields.items())) + _SETTINGS_FOOT


def _row(field: tuple[str, FieldInfo]) -> str:
    name, info = field
    default = "" if info.default in {None, ()} else str(info.default)
    return f"| `{name.upper()}` | {default} | {info.description} |\n"


def _section(kind: type[BaseModel]) -> str:
    name = kind.model_fields["type"].default
    rows = [
        f"| `{field}` | {_type_of(info.annotation)} | {'' if info.is_required() else 'optional'} |"
        for field, info in kind.model_fields.items()
        if field not in PRIVATE_FIELDS and kind is not SessionUpdated
    ]
    extra = ["| `text` | text | the same as `content` |"] if name == "user_message" else []
    table = "\n".join(["| field | type | |", "| --- | --- | --- |", *rows, *extra]) if rows else "No other fields."
    return f"\n## `{name}`\n\n{_summary(kind)}\n\n{table}\n"


def _outside() -> str:
    return f"\n## Any other type\n\n{_summary(Outside)} Its fields are in `data`, and at the top of the envelope too.\n"


def _summary(kind: type[BaseModel]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _type_of(annotation: object) -> str:
    names = {"str": "text", "int": "whole number", "bool": "true or false", "JsonValue": "JSON"}
    if isinstance(annotation, type):
        return names.get(annotation.__name__, annotation.__name__)
    values = get_args(annotation)
    if values and all(isinstance(value, str) for value in values):
        return ", ".join(f"`{value}`" for value in values)
    inner = [_type_of(value) for value in values if value is not type(None) and not hasattr(value, "ge")]
    text = str(annotation)
    if text.startswith("dict"):
        return "object"
    return " or ".join(inner) if inner else "JSON" if "JsonValue" in text else text


def main() -> None:
    pages = {"api.md": api_page(), "events.md": events_page(), "settings.md": settings_page()}
    for name, text in pages.items():
        page = _HERE / name
        if "--check" not in sys.argv:
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{name} is out of date: run `make docs`.")


if __name__ == "__main__":
    main()
