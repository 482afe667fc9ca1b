"""Prompts and answers in the form of the GenAI conventions. They are recorded only if TELEMETRY_CONTENT is true."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from shared.ports import ModelStream


def render_request(messages: Sequence[dict[str, Any]]) -> str:
    """The messages of a model call, in Chat Completions form, as JSON."""
    return to_json([_message(message) for message in messages]).decode()


def render_answer(stream: ModelStream) -> str:
    """The model's answer as JSON."""
    calls = [_call(call.id, call.name, call.arguments) for call in stream.tool_calls]
    answer = {"role": "assistant", "parts": [*_text(stream.text), *calls], "finish_reason": stream.finish_reason}
    return to_json([answer]).decode()


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if message["role"] == "tool":
        parts = [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
        return {"role": "tool", "parts": parts}
    calls = [_call(call["id"], **call["function"]) for call in message.get("tool_calls") or ()]
    return {"role": message["role"], "parts": [*_text(content), *calls]}


def _text(content: str) -> list[dict[str, Any]]:
    return [{"type": "text", "content": content}] if content else []


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
