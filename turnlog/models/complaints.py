"""What a server says when it fails: its sentence, its codes and the wait it asks for, wherever it puts them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

_TEXT_FIELDS = (
    *("message", "Message", "detail", "msg", "error_msg", "status_msg", "error_description", "title"),
    *("error", "errors", "base_resp", "reason"),
)
_WORD_FIELDS = frozenset({"code", "type", "status", "error_type", "error_code"})
_STATUS_FIELDS = ("code", "status", "status_code", "error_code")
_MAX_TEXT_LENGTH = 8000
_MAX_DEPTH = 6
_MAX_ENTRIES = 5
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_UNIT = r"(?:ms|milliseconds?|h(?:ours?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)?(?![a-z])"
_TIME = rf"\d{{1,9}}(?:\.\d{{1,12}})? ?{_UNIT}"
_DELAY = re.compile(
    rf"(?:try again|retry(?:ing)?|wait)(?: in| after| for)? ({_TIME}(?: ?{_TIME}){{0,3}})", re.IGNORECASE
)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Complaint:
    """A server's error as it was read.

    Attributes:
        value: what the server sent; JSON in texts is parsed.
        text: its sentence for people, not redacted.
        words: the codes, types and statuses that it names.
        status: the HTTP status that it names; 0 if none.
        delay: the seconds that it asks to wait.
    """

    value: Any
    text: str
    words: tuple[str, ...]
    status: int
    delay: float | None


def read_complaint(value: Any) -> Complaint:
    """Read an error: an object in any form, or a text."""
    parsed = _parsed(value, _MAX_DEPTH)
    text = _TAGS.sub(" ", _find_text(parsed)[:_MAX_TEXT_LENGTH])
    text = re.sub(r"\s+", " ", text).strip()
    return Complaint(parsed, text, tuple(_words_in(parsed)), _status_in(parsed), _delay_in(parsed, text))


def is_complaint(value: dict[str, Any]) -> bool:
    """Whether an object that should be a chunk is an error, also without the usual field."""
    if value.get("error"):
        return True
    if value.get("choices"):
        return False
    if "error" in (value.get("object"), value.get("type")):
        return True
    base = value.get("base_resp")  # MiniMax
    if isinstance(base, dict) and cast("dict[str, Any]", base).get("status_code"):
        return True
    return not value.keys() & {"choices", "usage", "type", "object"} and bool(_find_text(value))


def objects_in(value: Any, depth: int = _MAX_DEPTH) -> Iterator[dict[str, Any]]:
    """Yield every object in a JSON value."""
    match value:
        case dict() if depth:
            yield cast("dict[str, Any]", value)
            for each in cast("dict[str, Any]", value).values():
                yield from objects_in(each, depth - 1)
        case list() if depth:
            for each in cast("list[Any]", value):
                yield from objects_in(each, depth - 1)
        case _:
            return


def seconds_in(duration: str) -> float | None:
    """Return the seconds of `1.5`, `30s` or `1m30.5s`; None if it is something else."""
    try:
        return float(duration)
    except ValueError:
        is_duration = re.fullmatch(rf"\s*{_TIME}(?: ?{_TIME}){{0,3}}\s*", duration, re.IGNORECASE)
    amounts = _AMOUNT.findall(duration)
    return sum(float(amount) * _unit_seconds(unit.lower()) for amount, unit in amounts) if is_duration else None


def _unit_seconds(unit: str) -> float:
    if unit.startswith(("ms", "milli")):
        return 0.001
    return {"h": 3600.0, "m": 60.0}.get(unit[:1], 1.0)


def _parsed(value: Any, depth: int) -> Any:
    """Parse the JSON in texts: gateways put the error of the server behind them into one."""
    match value:
        case str() if depth and value.lstrip().startswith(("{", "[")):
            try:
                return _parsed(json.loads(value), depth - 1)
            except (ValueError, RecursionError):
                return value
        case list() if depth:
            return [_parsed(each, depth - 1) for each in cast("list[Any]", value)[:_MAX_ENTRIES]]
        case dict() if depth:
            return {name: _parsed(each, depth - 1) for name, each in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _find_text(value: Any, depth: int = _MAX_DEPTH) -> str:
    match value:
        case str():
            return value
        case list() if depth:
            texts = [_find_text(each, depth - 1) for each in cast("list[Any]", value)[:_MAX_ENTRIES]]
            return "; ".join(text for text in texts if text)
        case dict() if depth:
            fields = cast("dict[str, Any]", value)
            behind = fields.get("metadata")  # OpenRouter's own sentence is always the same
            if isinstance(behind, dict) and (text := _find_text(cast("dict[str, Any]", behind).get("raw"), depth - 1)):
                return text
            return next((text for name in _TEXT_FIELDS if (text := _find_text(fields.get(name), depth - 1))), "")
        case _:
            return ""


def _words_in(value: Any) -> Iterator[str]:
    for each in objects_in(value):
        yield from (word for name, word in each.items() if name in _WORD_FIELDS and isinstance(word, str))


def _status_in(value: Any) -> int:
    for each in objects_in(value):
        for name in _STATUS_FIELDS:
            status = each.get(name)
            if isinstance(status, str) and status.isdecimal() and len(status) == 3:
                return int(status)
            if isinstance(status, int) and 100 <= status < 600:
                return status
    return 0


def _delay_in(value: Any, text: str) -> float | None:
    """Return the seconds in Gemini's `retryDelay`, or those that a sentence names."""
    for each in objects_in(value):
        delay = each.get("retryDelay")
        if isinstance(delay, str) and (seconds := seconds_in(delay)) is not None:
            return seconds
    found = _DELAY.search(text)
    return None if found is None else seconds_in(found[1])
