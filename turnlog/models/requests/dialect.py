"""What a server turned out not to take of a request: learned from its refusals, separately for each model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from turnlog.models.complaints import Complaint, objects_in

MEDIA_LEFT_OUT = "[A picture, sound or file that this model does not take.]"

_REQUIRED = frozenset({"model", "messages", "input", "stream", "tools"})
_REQUIRED_OF_MESSAGES = frozenset({"role", "content", "tool_calls", "tool_call_id", "id", "type", "function"})
_REASONING = "reasoning_content"
_MEDIA = frozenset({"image_url", "input_image", "input_audio", "file", "input_file"})
_UNKNOWN = re.compile(
    r"extra_forbidden|extra (?:inputs|fields)|extraneous|unknown[_ ](?:parameter|name|field|argument)|unrecognized"
    r"|unsupported|unexpected (?:keyword|field|property)|additional properties|was unexpected|not supported"
    r"|cannot find field|not permitted|wrong_api_format",
    re.IGNORECASE,
)
_MISSING = re.compile(r"must be (?:passed|provided|present|included)|missing|must include|is required", re.IGNORECASE)
_ABOUT_MEDIA = re.compile(
    r"image|picture|vision|multi-?modal|audio|sound|\bfiles?\b|input_file|document|\bpdf|(?:part|content)[ _]type"
    r"|content must be a string",
    re.IGNORECASE,
)
_MARKED = re.compile(r"[\"'`]([\w.\[\]-]{1,200})[\"'`]")
_AFTER_COLON = re.compile(r": (\w+(?:, \w+)*)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_IN_BRACKETS = re.compile(r"\[(\w+)\]")
_UNMISTAKABLE = re.compile(r"[A-Za-z]+_\w+")


@dataclass(frozen=True)
class Dialect:
    """How a request must look for one model's server.

    Attributes:
        left_out: fields of the request or of its messages that the server does not know.
        wants_reasoning: each message of the assistant must have its reasoning, if only an empty one.
        takes_media: if not, pictures, sound and files of earlier turns are left out.
    """

    left_out: frozenset[str] = frozenset()
    wants_reasoning: bool = False
    takes_media: bool = True

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return `body` as the server takes it."""
        result = {name: value for name, value in body.items() if name not in self.left_out}
        for name in ("messages", "input"):
            if name in result and self != Dialect():
                result[name] = [*self._entries(result[name])]
        return result

    def after(self, complaint: Complaint, sent: Mapping[str, Any]) -> "Dialect":
        """Return what the refusal of the request `sent` teaches; an equal dialect if it teaches nothing."""
        entries = _entries_of(sent)
        if any(map(_UNKNOWN.search, (complaint.text, *complaint.words))):
            known = (sent.keys() - _REQUIRED) | _extra_fields(sent.get("messages") or ())
            if unknown := known & {*_names_in(complaint)}:
                return replace(self, left_out=self.left_out | unknown)
        if _REASONING in complaint.text and _MISSING.search(complaint.text):
            return replace(self, wants_reasoning=True)
        if _ABOUT_MEDIA.search(complaint.text) and any(map(_has_media, entries[: _last_user(entries)])):
            return replace(self, takes_media=False)
        return self

    def _entries(self, entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        last_user = _last_user(entries)
        for number, entry in enumerate(entries):
            result = {name: value for name, value in entry.items() if name not in self.left_out}
            if "tool_calls" in result:
                result["tool_calls"] = [
                    {name: value for name, value in call.items() if name not in self.left_out}
                    for call in result["tool_calls"]
                ]
            if self.wants_reasoning and entry.get("role") == "assistant":
                result.setdefault(_REASONING, entry.get("reasoning") or "")
            if not self.takes_media and number < last_user and _has_media(entry):
                texts = [MEDIA_LEFT_OUT if part.get("type") in _MEDIA else part["text"] for part in entry["content"]]
                result["content"] = "\n".join(texts)  # a model without pictures may take only texts
            yield result


def is_about_media(complaint: Complaint, sent: Mapping[str, Any]) -> bool:
    """Return whether a server refuses a request for the pictures, sound or files of its running turn."""
    entries = _entries_of(sent)
    return bool(_ABOUT_MEDIA.search(complaint.text)) and any(map(_has_media, entries[_last_user(entries) :]))


def _entries_of(sent: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    return sent.get("messages") or sent.get("input") or ()


def _names_in(complaint: Complaint) -> Iterator[str]:
    """Yield every word of a refusal that may be the name of a field."""
    for each in objects_in(complaint.value):
        for name in (each.get("param"), *_texts(each.get("loc"))):
            yield from _NAME.findall(name) if isinstance(name, str) else ()
    yield from _UNMISTAKABLE.findall(complaint.text)
    for pattern in (_MARKED, _IN_BRACKETS, _AFTER_COLON):
        for marked in pattern.findall(complaint.text):
            yield from _NAME.findall(marked)


def _extra_fields(messages: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names of fields in messages and their calls which a message does not need."""
    entries = (entry for message in messages for entry in (message, *message.get("tool_calls", ())))
    return {name for entry in entries for name in entry} - _REQUIRED_OF_MESSAGES


def _texts(location: Any) -> Iterator[str]:
    if isinstance(location, list):
        yield from (each for each in cast("list[Any]", location) if isinstance(each, str))


def _last_user(entries: Sequence[Mapping[str, Any]]) -> int:
    return max((number for number, entry in enumerate(entries) if entry.get("role") == "user"), default=0)


def _has_media(entry: Mapping[str, Any]) -> bool:
    content = entry.get("content")
    return isinstance(content, list) and any(part.get("type") in _MEDIA for part in cast("list[Any]", content))
