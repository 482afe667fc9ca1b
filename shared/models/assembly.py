"""Assembles a `chat.completion` object from its chunks, with unknown fields."""

from collections.abc import Mapping
from typing import Any, cast

_CONCATENATED = frozenset({"content", "refusal", "reasoning_content", "reasoning", "arguments"})


class Assembly:
    """A completion that is being assembled. `text` is the text of the added chunks."""

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def finish_reason(self) -> str | None:
        return self._choice.get("finish_reason")

    @property
    def usage(self) -> Mapping[str, Any] | None:
        return self._envelope.get("usage")

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        return self._message.get("tool_calls", [])

    def add(self, chunk: Mapping[str, Any]) -> str:
        """Add a chunk as the server sent it. Returns the piece of text in it."""
        choices = cast("list[dict[str, Any]]", chunk.get("choices") or [])
        self._envelope.update({name: value for name, value in chunk.items() if name != "choices" and value is not None})
        choice = next((choice for choice in choices if choice.get("index", 0) == 0), None)
        if choice is None:
            return ""
        delta = dict(choice.get("delta") or {})
        piece = str(delta.pop("content", None) or "")
        if piece:
            self._pieces.append(piece)
        if delta:
            _merge(self._message, delta)
        self._choice.update({name: value for name, value in choice.items() if name != "delta" and value is not None})
        return piece

    def completion(self) -> dict[str, Any]:
        """The object that a call without streaming would return."""
        message = {**self._message, "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = [
                {name: value for name, value in call.items() if name != "index"} for call in self.tool_calls
            ]
        choice = {"index": 0, "finish_reason": None, **self._choice, "message": message}
        return {**self._envelope, "object": "chat.completion", "choices": [choice]}


def _merge(target: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Merge by the rules of the streaming protocol: texts grow, lists merge by `index`, the rest is replaced."""
    for name, value in delta.items():
        known = target.get(name)
        if value is None:
            continue
        if name in _CONCATENATED and isinstance(value, str) and isinstance(known, str):
            target[name] = known + value
        elif isinstance(value, list):
            _merge_list(target.setdefault(name, []), cast("list[Any]", value))
        elif isinstance(value, dict):
            inner = dict(cast("dict[str, Any]", known)) if isinstance(known, dict) else {}
            _merge(inner, cast("dict[str, Any]", value))
            target[name] = inner
        else:
            target[name] = value


def _merge_list(target: list[Any], delta: list[Any]) -> None:
    for item in delta:
        if not isinstance(item, dict) or "index" not in item:
            target.append(item)
            continue
        entry = cast("dict[str, Any]", item)
        known = next((other for other in target if other.get("index") == entry["index"]), None)
        if known is None:
            target.append(dict(entry))
        else:
            _merge(known, entry)
