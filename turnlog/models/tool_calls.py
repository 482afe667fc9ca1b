"""Puts tool calls together from their fragments, by whichever of index, id and name a server sends."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from turnlog.domain.values import ARGUMENTS_TOO_LARGE, MAX_ARGUMENTS_BYTES, MAX_TOOL_CALLS, Piece, ToolCall
from turnlog.models.merging import Fields, Room, Text, replaced_surrogates

MAX_CALLS = 2 * MAX_TOOL_CALLS
"""More calls of one step are not read."""

_MAX_NAME_LENGTH = 256
_OWN_FIELDS = frozenset({"index", "id", "type", "function", "name", "arguments"})


class _Fragment(NamedTuple):
    """One entry of a delta's `tool_calls`. What is absent is empty."""

    index: Any
    id: str
    name: str
    arguments: str


@dataclass
class _Call:
    """A call being assembled."""

    number: int
    index: Any
    arguments: Text
    id: str = ""
    name: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are a complete JSON value already."""
        if not self.arguments.last.rstrip().endswith(("}", "]", '"')):
            return False
        try:
            json.loads(self.arguments.value)
        except ValueError:
            return False
        return True

    def add(self, fragment: _Fragment) -> str:
        """Take in a fragment; return what it adds to the arguments. What is empty replaces nothing."""
        self.id = self.id or fragment.id
        if not self.name:
            self.name = fragment.name[:_MAX_NAME_LENGTH]
        elif fragment.name and not self.arguments.size:  # a few servers send it in pieces, or once more
            begun = "" if fragment.name.startswith(self.name) else self.name
            self.name = (begun + fragment.name)[:_MAX_NAME_LENGTH]
        return self.arguments.add(self._without_repetition(fragment.arguments))

    def _without_repetition(self, arguments: str) -> str:
        """Some servers send again what they sent before. In no JSON text does an object begin twice in the same way."""
        known = self.arguments.value if arguments.startswith("{") else ""
        return arguments.removeprefix(known) if known.startswith("{") else arguments


class ToolCalls:
    """The calls of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._vendor = Fields()
        self._room = Room(MAX_ARGUMENTS_BYTES)

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, calls: Any) -> Iterator[Piece]:
        """Take in a delta's `tool_calls`, in any form; yield what they add."""
        for entry in _entries_in(calls):
            function = entry.get("function")
            fragment = _fragment(entry, cast("dict[str, Any]", function) if isinstance(function, dict) else entry)
            call = self._find(fragment)
            if call is None:
                if len(self._calls) >= MAX_CALLS:
                    return
                call = _Call(len(self._calls), fragment.index, Text(self._room))
                self._calls.append(call)
            if (piece := call.add(fragment)) or fragment.name:
                yield Piece("arguments", piece, call.number, call.name)
            for name, value in entry.items():
                if name not in _OWN_FIELDS:
                    self._vendor.add(str(call.number), {name: value})

    def values(self) -> Sequence[ToolCall]:
        """Return the calls as the server wrote them; absent arguments are an empty object."""
        vendor = self._vendor.value()
        return [
            ToolCall(
                id=call.id,
                name=replaced_surrogates(call.name),
                arguments=_decoded_once(call.arguments.value) or "{}",
                refused=ARGUMENTS_TOO_LARGE if call.arguments.is_cut else None,
                # Its own server wants the id back: some put a signature into it, some the tool's name.
                vendor={**vendor.get(str(call.number), {}), **({"id": call.id} if call.id else {})},
            )
            for call in self._calls
        ]

    def as_sent(self) -> list[dict[str, Any]]:
        """Return the calls in the form of a completion."""
        vendor = self._vendor.value()
        return [
            {
                **vendor.get(str(call.number), {}),
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.value},
            }
            for call in self._calls
        ]

    def _find(self, fragment: _Fragment) -> _Call | None:
        """Return the call that a fragment continues; None if it begins another one."""
        call = self._find_candidate(fragment)
        if call is None:
            return None
        is_other = bool(fragment.id) and bool(call.id) and fragment.id != call.id
        is_named_again = not is_other and bool(fragment.name) and bool(fragment.arguments)
        if is_named_again and fragment.id == call.id != "" and fragment.arguments.startswith(call.arguments.value):
            return call
        # Some servers give every fragment another id, or name and id again: only a whole call is followed by another.
        if (is_other or is_named_again) and call.is_whole:
            return None
        if is_other and fragment.name and call.name and not call.arguments.size:
            return None  # the one before takes no arguments
        return call

    def _find_candidate(self, fragment: _Fragment) -> _Call | None:
        newest = self._calls[-1] if self._calls else None
        if newest is None or (fragment.index is None and not fragment.id):
            return newest
        known = [call for call in self._calls if call.index == fragment.index]
        if fragment.index is not None and known:
            return known[-1]
        if fragment.index is not None and fragment.name:
            return None
        known = [call for call in self._calls if fragment.id and call.id == fragment.id]
        if known:
            return known[-1]
        # Neither index nor id is known. A fragment without a name continues what is not whole yet.
        has_begun = bool(fragment.name) or newest.is_whole
        return None if has_begun and (fragment.id or fragment.arguments) else newest


def _entries_in(calls: Any) -> Iterator[dict[str, Any]]:
    if isinstance(calls, dict):  # one call, or calls by their numbers
        fields = cast("dict[str, Any]", calls)
        calls = [fields] if fields.keys() & {"function", "name"} else list(fields.values())
    for each in cast("list[Any]", calls) if isinstance(calls, list) else ():
        if isinstance(each, dict):
            yield cast("dict[str, Any]", each)


def _fragment(entry: dict[str, Any], function: dict[str, Any]) -> _Fragment:
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return _Fragment(entry.get("index"), _text(entry.get("id")), _text(function.get("name")), arguments or "")


def _decoded_once(arguments: str) -> str:
    """Return the JSON object that a server put into a JSON string; all other arguments as they are."""
    if not arguments.startswith('"'):
        return arguments
    try:
        inner = json.loads(arguments)
        return inner if isinstance(inner, str) and isinstance(json.loads(inner), dict) else arguments
    except ValueError:
        return arguments


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""
