"""Text for a terminal: one line for an event, one for a session."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from turnlog_client.events import Event

_SHOWN_BESIDE = {"session_id", "turn_id", "message_id", "origin"}
_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in [*range(32), *range(127, 160)] if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """Return the text without what steers a terminal: people and models write it."""
    return text.translate(_CONTROLS)


def one_line(text: str, width: int) -> str:
    """Return the text on one line of at most `width` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def compact(value: object) -> str:
    """Return a value as JSON on one line; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def width_of(stream: TextIO) -> int:
    """Return how many characters a line may have: without a limit if nobody looks at it in a terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else sys.maxsize


def has_styles(stream: TextIO) -> bool:
    """Whether to dim text: in a terminal, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def event_line(event: Event, width: int) -> str:
    """Return an event as one line: sequence, time, type, and what it says."""
    begin = f"{event.sequence:>6}  {event.timestamp[11:19]:<8}  {event.type:<25}"
    return (begin + one_line(_summary(event.data), width - len(begin))).rstrip()


def session_line(session: Mapping[str, Any], width: int) -> str:
    """Return a session as one line: time, id, state, agent and name."""
    begin = f"{session['updated_at'][11:19]}  {session['session_id']:<28}  {session['state']:<15}  "
    agent, name = session.get("agent_name") or "-", session.get("session_name") or ""
    return (begin + one_line(f"{agent:<12}  {name}" if name else agent, width - len(begin))).rstrip()


def _summary(data: Mapping[str, Any]) -> str:
    """Return the text, or the name with its arguments; of other events all fields that have a value."""
    if isinstance(text := data.get("text"), str):
        return text
    if "name" in data and "arguments" in data:
        result = f" {data['status']}: {compact(data.get('response'))}" if "status" in data else ""
        return f"{data['name']} {data['arguments']}{result}"
    shown = {name: value for name, value in data.items() if name not in _SHOWN_BESIDE and value is not None}
    return " ".join(f"{name}={compact(value)}" for name, value in shown.items())
