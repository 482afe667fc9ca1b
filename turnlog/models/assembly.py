"""Puts a `chat.completion` together from its chunks, in whatever form servers send them; unknown fields are kept."""

from collections.abc import Mapping
from typing import Any, cast

from turnlog.domain.redaction import redact
from turnlog.domain.values import Piece
from turnlog.models.merging import MAX_TEXT_BYTES, Fields, Room, Text, without_surrogates
from turnlog.models.tool_calls import ToolCalls

_NOT_OF_ENVELOPE = frozenset({"choices", "usage"})
_FIRST_INDEX = (0, None, "0")
_NOT_OF_CHOICE = frozenset({"delta", "message", "text", "usage", "index"})
_NOT_OF_VENDOR = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "audio", "annotations"})
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_THINKING = frozenset({"thinking", "reasoning", "reasoning.text", "reasoning.summary"})
_MAX_REASON_LENGTH = 64
_TEXTS_OF_PARTS = ("text", "content", "thinking", "reasoning", "summary")


class Assembly:
    """A completion being assembled."""

    def __init__(self) -> None:
        self.tool_calls = ToolCalls()
        self.finish_reason: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self._envelope: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._vendor = Fields()
        self._text, self._refusal, self._reasoning = Text(Room(MAX_TEXT_BYTES)), Text(), Text()
        self._has_first_choice = False

    @property
    def text(self) -> str:
        """The answer until now; a refusal is the answer if there is no other."""
        return self._text.value or self._refusal.value

    @property
    def reasoning(self) -> str:
        return self._reasoning.value

    @property
    def is_empty(self) -> bool:
        return not (self._text.size or self._refusal.size or self._reasoning.size or self.tool_calls)

    @property
    def is_full(self) -> bool:
        """Whether the answer is as long as it may be, so that the rest need not be read."""
        return self._text.is_cut

    @property
    def vendor(self) -> dict[str, Any]:
        """The fields of the message that no other server knows; empty if there are too many of them."""
        return self._vendor.value()

    def add(self, chunk: Mapping[str, Any]) -> list[Piece]:
        """Take in a chunk as the server sent it; return what it adds, in order."""
        self._note_envelope(chunk)
        choice = self._own_choice(chunk.get("choices"))
        if choice is None:
            return []
        self._note_choice(choice)
        delta = choice.get("delta")
        if not delta and self.is_empty:  # a whole answer
            delta = choice.get("message") or {"content": choice.get("text")}
        return self._pieces_of(cast("dict[str, Any]", delta)) if isinstance(delta, dict) else []

    def completion(self) -> dict[str, Any]:
        """Return the object that a call without streaming would have returned."""
        vendor = self.vendor or ({"reasoning_content": self.reasoning} if self._reasoning.size else {})
        message: dict[str, Any] = {"role": "assistant", **vendor, "content": self._text.value or None}
        if self._refusal.size:
            message["refusal"] = self._refusal.value
        if calls := self.tool_calls.as_sent():
            message["tool_calls"] = calls
        choice = {"index": 0, "finish_reason": None, **self._choice, "message": message}
        return without_surrogates({**self._envelope, "object": "chat.completion", "choices": [choice]})

    def _note_envelope(self, chunk: Mapping[str, Any]) -> None:
        # An empty value never replaces a known one: Azure's late chunks have neither id nor model.
        for name, value in chunk.items():
            if value and name not in _NOT_OF_ENVELOPE:
                self._envelope[name] = value
        if "x_groq" in chunk:
            self._note_usage(chunk["x_groq"])
        if chunk.get("usage"):
            self._note_usage(chunk)

    def _note_usage(self, holder: Any) -> None:
        usage = cast("dict[str, Any]", holder).get("usage") if isinstance(holder, dict) else None
        if not isinstance(usage, dict) or not usage:
            return
        counts = cast("dict[str, Any]", usage)
        if self.usage is None or any(count for count in counts.values() if isinstance(count, int | float | str)):
            self.usage = self._envelope["usage"] = counts  # zeros never replace counts

    def _own_choice(self, choices: Any) -> dict[str, Any] | None:
        """Return the choice of the answer: index 0; the first one where a server counts from elsewhere."""
        if not isinstance(choices, list):
            return None
        other: dict[str, Any] | None = None
        for each in cast("list[Any]", choices):
            if isinstance(each, dict):
                choice = cast("dict[str, Any]", each)
                if choice.get("index") in _FIRST_INDEX:
                    self._has_first_choice = True
                    return choice
                other = other or choice
        return None if self._has_first_choice else other

    def _note_choice(self, choice: Mapping[str, Any]) -> None:
        for name, value in choice.items():
            if value and name not in _NOT_OF_CHOICE:
                self._choice[name] = value
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason = redact(reason[:_MAX_REASON_LENGTH])
        if "usage" in choice:
            self._note_usage(choice)

    def _pieces_of(self, delta: Mapping[str, Any]) -> list[Piece]:
        pieces: list[Piece] = []
        content = delta.get("content")
        text, thinking = (content, "") if isinstance(content, str) else _split(content)
        for name, value in delta.items():
            if value and name not in _NOT_OF_VENDOR:
                self._vendor.add(name, value)
                thinking = thinking or _reasoning_in(delta)
        if thinking and (piece := self._reasoning.add(thinking)):
            pieces.append(Piece("reasoning", piece))
        if text and (piece := self._text.add(text)):
            pieces.append(Piece("text", piece))
        refusal = delta.get("refusal")
        if refusal and (piece := self._refusal.add(refusal)) and not self._text.size:
            pieces.append(Piece("text", piece))
        if calls := delta.get("tool_calls"):
            pieces.extend(self.tool_calls.add(calls))
        elif call := delta.get("function_call"):  # what tool calls were called before there could be several
            pieces.extend(self.tool_calls.add([{"function": call}]))
        return pieces


def _split(content: Any) -> tuple[str, str]:
    """Return the text and the reasoning in `content`: a text, a part, or a list of those."""
    match content:
        case str():
            return content, ""
        case list():
            parts = [_split(each) for each in cast("list[Any]", content)]
            return "".join(text for text, _ in parts), "".join(thinking for _, thinking in parts)
        case dict():
            part = cast("dict[str, Any]", content)
            texts = "".join(_split(next((part[name] for name in _TEXTS_OF_PARTS if part.get(name)), "")))
            return ("", texts) if part.get("type") in _THINKING else (texts, "")
        case _:
            return "", ""


def _reasoning_in(delta: Mapping[str, Any]) -> str:
    """Return the reasoning that a delta adds; servers name it differently, and some give it twice."""
    for name in _REASONING_FIELDS:
        if value := delta.get(name):
            text = value if isinstance(value, str) else "".join(_split(value))
            if text:
                return text
    return ""
