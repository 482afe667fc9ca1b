"""Events of AG-UI for what the scripted model does not do: a step whose parts mix, and calls that change."""

import json
from typing import Any

from tests.domain.factories import MESSAGE, SESSION, THEN, TURN
from turnlog.api.front_ends.ag_ui_events import RunEvents
from turnlog.api.front_ends.ag_ui_wire import Run
from turnlog.domain.chunks import Draft, sequenced
from turnlog.domain.events import (
    EventData,
    MessageComplete,
    MessageDelta,
    MessageStart,
    ReasoningDelta,
    RunComplete,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
)
from turnlog.domain.ids import PublicId
from turnlog.domain.stored_documents import Message

_USER = {"id": "m1", "role": "user", "content": "Hello"}
_STARTS = {"TEXT_MESSAGE_START", "REASONING_MESSAGE_START", "TOOL_CALL_START"}
_ENDS = {"TEXT_MESSAGE_END", "REASONING_MESSAGE_END", "TOOL_CALL_END"}
_PARTS = {"TEXT_MESSAGE_CONTENT", "REASONING_MESSAGE_CONTENT", "TOOL_CALL_ARGS"}


def render(*data: EventData) -> list[dict[str, Any]]:
    """The events of a run whose turn has these, each of which the protocol allows where it is."""
    message = Message(
        id=MESSAGE,
        session_id=SESSION,
        turn_id=TURN,
        content="Hello",
        status="running",
        agent="assistant",
        model="m",
        created_at=THEN,
    )
    run = RunEvents(Run(PublicId("ses_1"), "run"), message, [_USER])
    drafts = [Draft(data=each, turn_id=TURN, message_id=MESSAGE) for each in data]
    frames = b"".join(run.render(event, b"") for event in sequenced(drafts, 0, THEN)).decode()
    events = [json.loads(frame.removeprefix("data: ")) for frame in frames.split("\n\n") if frame]
    _require_allowed(events)
    return events


def _require_allowed(events: list[dict[str, Any]]) -> None:
    is_open: set[str] = set()
    for event in events:
        part = event.get("toolCallId") or event.get("messageId") or ""
        if event["type"] in _STARTS:
            assert part not in is_open
            is_open.add(part)
        elif event["type"] in _PARTS:
            assert part in is_open
        elif event["type"] in _ENDS:
            is_open.remove(part)
        elif event["type"] in {"MESSAGES_SNAPSHOT", "RUN_FINISHED"}:
            assert not is_open


def fold(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a client after `events`, without blank reasoning."""
    messages: dict[str, dict[str, Any]] = {_USER["id"]: _USER}
    calls: dict[str, dict[str, Any]] = {}
    for event in events:
        match event:
            case {"type": "MESSAGES_SNAPSHOT", "messages": [*found]}:
                messages = {each["id"]: {**each, "content": each["content"]} for each in found}
                calls = {call["id"]: call for each in found for call in each.get("toolCalls", [])}
            case {"type": "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT", "messageId": key, "delta": text}:
                messages.setdefault(key, {"id": key, "content": ""})["content"] += text
            case {"type": "TOOL_CALL_START", "toolCallId": key, "toolCallName": name, "parentMessageId": parent}:
                calls[key] = {"id": key, "function": {"name": name, "arguments": ""}}
                messages.setdefault(parent, {"id": parent, "content": ""}).setdefault("toolCalls", []).append(
                    calls[key]
                )
            case {"type": "TOOL_CALL_ARGS", "toolCallId": key, "delta": text}:
                calls[key]["function"]["arguments"] += text
            case _:
                pass
    return [each for each in messages.values() if each["content"] or each.get("toolCalls")]


def delta(call: str, arguments: str, attempt: int = 1, name: str = "search") -> ToolCallDelta:
    return ToolCallDelta(id=call, step=1, attempt=attempt, name=name, arguments=arguments)


def completed(text: str = "", attempt: int = 1) -> MessageComplete:
    return MessageComplete(step=1, attempt=attempt, text=text)


def start(call: str, arguments: str, name: str = "search") -> ToolCallStart:
    return ToolCallStart(id=call, step=1, attempt=1, name=name, arguments=arguments)


END = RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="m")


def test_text_reasoning_and_two_calls_may_mix_in_a_step() -> None:
    events = render(
        MessageStart(step=1, attempt=1),
        ReasoningDelta(step=1, attempt=1, text="Think"),
        delta("c1", '{"a"'),
        MessageDelta(step=1, attempt=1, text="One "),
        delta("c2", "{"),
        delta("c1", ": 1}"),
        ReasoningDelta(step=1, attempt=1, text=" again"),
        MessageDelta(step=1, attempt=1, text="two"),
        delta("c2", "}"),
        completed("One two"),
        start("c1", '{"a": 1}'),
        start("c2", "{}"),
        END,
    )

    _, reasoning, answer = fold(events)
    assert (reasoning["content"], answer["content"]) == ("Think again", "One two")
    assert [call["function"]["arguments"] for call in answer["toolCalls"]] == ['{"a": 1}', "{}"]
    assert not [event for event in events if event["type"] == "MESSAGES_SNAPSHOT"]


def test_a_call_that_differs_from_what_was_streamed_is_corrected() -> None:
    events = render(
        MessageStart(step=1, attempt=1),
        delta("c1", '{"a', name="functions.se"),
        completed(),
        start("c1", '{"a": 1}'),
        END,
    )

    (_, answer) = fold(events)
    assert answer["toolCalls"][0]["function"] == {"name": "search", "arguments": '{"a": 1}'}


def test_the_calls_of_a_void_attempt_are_taken_back() -> None:
    events = render(
        MessageStart(step=1, attempt=1),
        MessageDelta(step=1, attempt=1, text="Void"),
        delta("c1", '{"void'),
        MessageStart(step=1, attempt=2),
        delta("c1", "{}", attempt=2),
        completed(attempt=2),
        start("c1", "{}"),
        ToolCallComplete(
            id="c1", step=1, name="search", arguments="{}", status="completed", response={"n": 1}, duration_ms=1
        ),
        END,
    )

    _, answer, *_ = fold(events)
    assert answer["content"] == ""
    assert [call["function"]["arguments"] for call in answer["toolCalls"]] == ["{}"]
    (result,) = [event for event in events if event["type"] == "TOOL_CALL_RESULT"]
    assert json.loads(result["content"]) == {"n": 1}


def test_calls_that_were_not_streamed_are_sent_whole() -> None:
    events = render(MessageStart(step=1, attempt=1), completed(), start("c1", "{}"), END)

    (_, answer) = fold(events)
    assert answer["toolCalls"][0]["function"] == {"name": "search", "arguments": "{}"}
