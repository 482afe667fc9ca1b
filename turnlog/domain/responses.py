"""Responses without the texts that their steps have: each text of a step is stored once."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from turnlog.domain.stored_documents import Step

_KEY = "$step"
"""The only name in an object that stands for a text of the step."""

_MIN_LENGTH = 64
"""A shorter text stays where it is."""

_Replace: TypeAlias = Callable[[Any], Any]


def without_texts(response: Mapping[str, Any], step: Step) -> dict[str, Any]:
    """`response` with references to the texts of `step`. A text that is cut off in the step is cut off here as well."""
    if _KEY in json.dumps(response):
        return dict(response)  # it looks like a reference
    names = {text: name for name, text in _texts(step).items() if len(text) >= _MIN_LENGTH}
    cut = {text: names[text] for text in _truncated(step) if text in names}

    def replace(value: Any) -> Any:
        if not isinstance(value, str) or len(value) < _MIN_LENGTH:
            return value
        name = names.get(value) or next((name for text, name in cut.items() if value.startswith(text)), None)
        return value if name is None else {_KEY: name}

    return _mapped(dict(response), replace)


def with_texts(response: Mapping[str, Any], step: Step) -> dict[str, Any]:
    """`response` with the texts of `step` in the places of their references."""
    texts = _texts(step)

    def replace(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, Any]", value)
        name = fields.get(_KEY)
        return texts.get(name, fields) if len(fields) == 1 and isinstance(name, str) else fields

    return _mapped(dict(response), replace)


def _texts(step: Step) -> dict[str, str]:
    calls = {str(number): call.arguments for number, call in enumerate(step.tool_calls)}
    return {**calls, "reasoning": step.reasoning, "text": step.text}


def _truncated(step: Step) -> list[str]:
    return [*([step.text] if step.truncated else []), *(call.arguments for call in step.tool_calls if call.refused)]


def _mapped(value: Any, replace: _Replace) -> Any:
    """`value` with `replace` applied to everything in it, from the outside in."""
    value = replace(value)
    if isinstance(value, dict):
        return {name: _mapped(each, replace) for name, each in cast("dict[str, Any]", value).items()}
    return [_mapped(each, replace) for each in cast("list[Any]", value)] if isinstance(value, list) else value
