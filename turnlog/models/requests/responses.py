"""The body of a Responses API request: the conversation as input items."""

from collections.abc import Iterator
from typing import Any, cast

from turnlog.domain.content import Content, input_content
from turnlog.domain.conversation import Conversation, ConversationTurn, ModelStep
from turnlog.models.requests.chat import merged, named_schema
from turnlog.models.requests.wire import (
    NO_ANSWER,
    UNFINISHED,
    CallIds,
    content_to_send,
    wire_arguments,
    wire_name,
    wire_result,
)
from turnlog.ports import ModelRequest

REASONING_ITEMS = "reasoning_items"
"""Where a step's vendor fields hold the reasoning items of this API."""


def responses_body(request: ModelRequest) -> dict[str, Any]:
    """Return the body of a request. An option of null takes a field out."""
    body: dict[str, Any] = {
        "model": request.model,
        "instructions": request.conversation.instructions,
        "input": input_items(request.conversation, request.model),
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    if request.output_schema is not None:
        body["text"] = {"format": {"type": "json_schema", "strict": False, **named_schema(request.output_schema)}}
    if request.tools:
        tools = [{"type": "function", "strict": False, **tool["function"]} for tool in request.tools]
        body |= {"tools": tools, "tool_choice": "auto"}
    body = merged(body, request.options)
    if not request.tools:
        body.pop("tool_choice", None)
    elif not request.may_call_tools:
        body["tool_choice"] = "none"
    elif request.conversation.has_tool_results and body.get("tool_choice") != "none":
        body["tool_choice"] = "auto"
    return {name: value for name, value in body.items() if value != ""}


def input_items(conversation: Conversation, model: str) -> list[dict[str, Any]]:
    """Return a conversation as the API's input items."""
    items: list[dict[str, Any]] = []
    ids = CallIds()
    last = len(conversation.turns) - 1
    for number, turn in enumerate(conversation.turns):
        items.extend(_turn_items(turn, ids, is_same_model=turn.model == model))
        if number < last and items[-1].get("role") != "assistant":
            items.append({"role": "assistant", "content": NO_ANSWER.get(turn.status, UNFINISHED)})
    items.extend(map(_user, conversation.reading))
    return items


def _turn_items(turn: ConversationTurn, ids: CallIds, *, is_same_model: bool) -> Iterator[dict[str, Any]]:
    yield _user(turn.content)
    for step in turn.steps:
        yield from map(_user, step.read)
        yield from _step_items(step, ids, is_same_model=is_same_model)


def _step_items(step: ModelStep, ids: CallIds, *, is_same_model: bool) -> Iterator[dict[str, Any]]:
    if step.calls and is_same_model and step.vendor:
        yield from cast("list[dict[str, Any]]", step.vendor.get(REASONING_ITEMS, []))
    if step.text.strip():
        yield {"role": "assistant", "content": step.text}
    call_ids = [ids.give(answered.call, is_same_model=is_same_model) for answered in step.calls]
    for call_id, answered in zip(call_ids, step.calls, strict=True):
        name, arguments = wire_name(answered.call.name), wire_arguments(answered.call.arguments)
        yield {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
    for call_id, answered in zip(call_ids, step.calls, strict=True):
        yield {"type": "function_call_output", "call_id": call_id, "output": wire_result(answered)}


def _user(content: Content) -> dict[str, Any]:
    return {"role": "user", "content": input_content(content_to_send(content))}
