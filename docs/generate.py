"""Writes the generated pages of docs from the code; `--check` only says whether they are up to date."""

import sys
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from docs.api_page import anchor, api_page
from shared.api.shapes.events import PRIVATE_FIELDS
from shared.domain.events import (
    EventData,
    ForkedFrom,
    Outside,
    SessionUpdated,
)
from shared.domain.fold import UPDATABLE
from shared.domain.values import Failure, Usage
from shared.settings import Settings

_HERE = Path(__file__).parent
_EVENTS_HEAD = """# Events

Generated from `shared/domain/events.py` by `make docs`; do not edit.

An event is `{sequence, type, session_id, turn_id, message_id, trace_id, timestamp, data}`. Sequences are 1, 2, 3 … in
each session, without a gap. `data` holds the fields below and repeats `session_id`, and `turn_id` and `message_id`
where the event belongs to a turn. On a stream `id:` is the sequence, `event:` the type, `data:` the event's `data` as
one line of JSON; with `?format=envelope` there is no `event:` line and `data:` is the whole event. Ignore types you do
not know.

Every field below is always sent; where there is nothing to say it is `null`, which the table names with the type. Only
`turn_id` and `message_id` are left out of `data` where there is no turn (in the event itself they are `null`).

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
the environment overrides. The example lists all of these. An empty one counts as not set. A wrong or missing one stops
the start, naming the variable.

| variable | default | |
| --- | --- | --- |
"""
_SETTINGS_FOOT = """| `PORT`, `HOST` | 7071, 127.0.0.1 | where `make run` listens; port 0 takes a free one |
| `HOST_MODE` | what is installed | what `make run` starts: `func` or `local` |
| `LOG_LEVEL` | INFO | least level of what the local host logs, such as WARNING |

The example's further keys are no settings of the app but of the Functions host and its worker, the same everywhere:
`FUNCTIONS_WORKER_RUNTIME`, `AzureWebJobsStorage`, `AzureWebJobsDisableHomepage`, `PYTHON_ENABLE_INIT_INDEXING`,
`PYTHONDONTWRITEBYTECODE`, `AZURE_FUNCTIONS_DURABLE_STRICT_TYPING`. `Host` is read by Core Tools alone: port and CORS
origins of a plain `func start`.

Without `OPENAI_BASE_URL` and `OPENAI_API_KEY` there is no model to call: turns fail with `model_not_configured`, and
`/ready` says so. `make run` starts a scripted model then.

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
        f"| `{field}` | {_type_of(info.annotation)} |"
        for field, info in kind.model_fields.items()
        if field not in PRIVATE_FIELDS and kind is not SessionUpdated
    ]
    rows += ["| `text` | text, the same as `content` |"] if name == "user_message" else []
    table = "\n".join(["| field | type |", "| --- | --- |", *rows]) if rows else "No other fields."
    if kind is SessionUpdated:
        table = f"Those of {', '.join(f'`{field}`' for field in sorted(UPDATABLE))} that changed, and no others."
    return f"\n## `{name}`\n\n{_summary(kind)}\n\n{table}\n"


def _outside() -> str:
    where = "Its fields are in `data`, with `origin: outside`, and at the top of the envelope too."
    return f"\n## Any other type\n\n{_summary(Outside)} {where}\n"


def _summary(kind: type[BaseModel]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _type_of(annotation: Any) -> str:
    names = {"str": "text", "int": "whole number", "bool": "true or false", "NoneType": "null"}
    if annotation is AwareDatetime:
        return "timestamp"
    if annotation in {Usage, Failure, ForkedFrom}:
        return f"[{annotation.__name__}](api.md#{anchor(annotation.__name__)})"
    if isinstance(annotation, type):
        return names[annotation.__name__]
    inner, origin = get_args(annotation), get_origin(annotation)
    if origin is dict:
        return "object" if inner[1] is not int else _type_of(Usage)  # the only counts by name in an event
    if origin is list:
        return f"list of {_type_of(inner[0])}s"
    if origin in {UnionType, Union}:
        return " or ".join(map(_type_of, inner))
    if inner and all(isinstance(value, str) for value in inner):
        return ", ".join(f"`{value}`" for value in inner)
    return _type_of(inner[0]) if inner else "JSON"


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
