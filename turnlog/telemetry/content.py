"""Prompts and answers in the form of the GenAI conventions. They are recorded only if TELEMETRY_CONTENT is true."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from turnlog.domain.content import Content, content_text
from turnlog.domain.conversation import Conversation, ModelStep
from turnlog.domain.values import ToolCall
from turnlog.ports import ModelStream


def render_request(conversation: Conversation) -> str:
    """The messages of a model call as JSON."""
    messages = [_message("system", _text(conversation.instructions))]
    for turn in conversation.turns:
        messages.append(_user(turn.content))
        for step in turn.steps:
            messages += _step(step)
    return to_json([*messages, *map(_user, conversation.reading)]).decode()


def render_answer(stream: ModelStream) -> str:
    """The model's answer as JSON."""
    parts = [*_reasoning(stream.reasoning), *_text(stream.text), *map(_call, stream.tool_calls)]
    return to_json([_message("assistant", parts) | {"finish_reason": stream.finish_reason}]).decode()


def _step(step: ModelStep) -> Iterator[dict[str, Any]]:
    yield from map(_user, step.read)
    yield _message("assistant", [*_text(step.text), *(_call(answered.call) for answered in step.calls)])
    for answered in step.calls:
        part = {"type": "tool_call_response", "id": answered.call.id, "response": answered.result or ""}
        yield _message("tool", [part])


def _user(content: Content) -> dict[str, Any]:
    return _message("user", _text(content_text(content)))  # pictures and files by name, without their data


def _message(role: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": role, "parts": parts}


def _text(content: str) -> list[dict[str, Any]]:
    return [{"type": "text", "content": content}] if content else []


def _reasoning(content: str) -> list[dict[str, Any]]:
    return [{"type": "reasoning", "content": content}] if content else []


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
