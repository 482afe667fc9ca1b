"""A turn as the events of AG-UI, version 1.0 (docs.ag-ui.com, "Events").

The protocol takes text back only by a snapshot of all messages. So a run knows the messages that its client has, and
sends such a snapshot when an attempt becomes void, or when a turn is sent again from its start.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turnlog.api.front_ends.ag_ui_messages import (
    JSON,
    RunMessages,
    assistant_id,
    called_in,
    reasoning_id,
    result_id,
    tool_text,
)
from turnlog.api.front_ends.ag_ui_wire import (
    NAMESPACE,
    PROTOCOL_VERSION,
    Run,
    call_start,
    frames,
    interrupt,
    step_name,
)
from turnlog.api.shapes.events import response_of
from turnlog.domain.chunks import Event
from turnlog.domain.events import (
    MessageComplete,
    MessageDelta,
    MessageStart,
    MessageWithdrawn,
    ReasoningDelta,
    RunComplete,
    SessionDeleted,
    TokenUsage,
    ToolCallActionRequired,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
    UserMessage,
    VibecodeResponse,
)
from turnlog.domain.ids import TurnId
from turnlog.domain.session import Action
from turnlog.domain.stored_documents import Message


class RunEvents:
    """Renders the events of one turn as those of one run.

    `earlier` are the messages that the client has when the run begins.
    """

    def __init__(self, run: Run, message: Message, earlier: Sequence[JSON]) -> None:
        self._run = run
        self._message_id = message.message_id
        self._turn_id = message.turn_id
        self._messages = RunMessages(earlier)
        self._answered = {each.get("toolCallId") for each in earlier if each["role"] == "tool"}
        self._earlier_calls = called_in(earlier)
        self._announced: dict[str, int] = {}  # the steps of the calls that this run has sent
        self._open: dict[str, JSON] = {}  # the events that close what is open, by the id of its message or call
        self._step = 0
        self._usage: dict[str, dict[str, int]] = {}
        self._is_over = False

    @property
    def turn_id(self) -> TurnId:
        return self._turn_id

    def begin(self, *, replaces_messages: bool) -> bytes:
        """The first frames. `replaces_messages`: the client may have other messages than those before this run."""
        ids = {"session_id": self._run.thread_id, "turn_id": self._turn_id, "message_id": self._message_id}
        started = self._run.event("RUN_STARTED", protocolVersion=PROTOCOL_VERSION, metadata={NAMESPACE: ids})
        return frames([started, *([self._snapshot()] if replaces_messages else [])])

    def render(self, event: Event, _: bytes, /) -> bytes:
        return b"" if self._is_over else frames(self._events(event))

    def end(self, _: Mapping[str, Any], __: bytes, /) -> bytes:
        """Nothing more will come: the message never got its turn."""
        return b"" if self._is_over else frames(self._finish({"type": "cancelled"}))

    def pause(self, open_actions: Mapping[str, Action]) -> bytes:
        """The last frames of a run whose turn waits for `open_actions`."""
        approvals = {call_id: action for call_id, action in open_actions.items() if action.kind == "approval"}
        if approvals:
            interrupts = [interrupt(call_id, action) for call_id, action in approvals.items()]
            return frames(self._finish({"type": "interrupt", "interrupts": interrupts}))
        return frames(self._finish({"type": "success", "pendingToolCallIds": list(open_actions)}))

    def _events(self, event: Event) -> Iterable[JSON]:
        if isinstance(event.data, SessionDeleted):
            self._is_over = True
            yield {"type": "RUN_ERROR", "code": "session_deleted", "message": "The session was deleted."}
            return
        if isinstance(event.data, UserMessage) and event.message_id == self._message_id and event.turn_id is not None:
            self._turn_id = event.turn_id  # a message that steered may get a turn of its own
        if event.turn_id == self._turn_id:
            yield from self._events_of_turn(event)

    def _events_of_turn(self, event: Event) -> Iterable[JSON]:
        match event.data:
            case MessageStart() | ReasoningDelta() | MessageDelta() | ToolCallDelta() | MessageComplete():
                yield from self._events_of_step(event.data)
            case ToolCallStart() | ToolCallActionRequired():
                yield from self._announce(event.data)
            case ToolCallComplete():
                yield from self._announce(event.data)
                yield from self._answer(event.data)
            case TokenUsage():
                self._count(event.data)
            case VibecodeResponse(patch=patch, project_revision=revision):
                value = {"patch": patch, "project_revision": revision}
                yield {"type": "CUSTOM", "name": "vibecode_response", "value": value}
            case MessageWithdrawn() if event.message_id == self._message_id:
                yield from self._finish({"type": "cancelled"})
            case RunComplete():
                yield from self._complete(event.data)
            case _:
                pass

    def _events_of_step(
        self, data: MessageStart | ReasoningDelta | MessageDelta | ToolCallDelta | MessageComplete
    ) -> Iterable[JSON]:
        match data:
            case MessageStart(step=step):
                yield from self._begin_step(step)
            case ReasoningDelta(step=step, text=text):
                yield from self._write_reasoning(reasoning_id(self._turn_id, step), text)
            case MessageDelta(step=step, text=text):
                yield from self._write_text(assistant_id(self._turn_id, step), text)
            case ToolCallDelta():
                yield from self._write_call(data)
            case MessageComplete():
                yield from self._close()

    def _begin_step(self, step: int) -> Iterable[JSON]:
        yield from self._close()
        if step != self._step:
            yield from self._finish_step()
            self._step = step
            yield {"type": "STEP_STARTED", "stepName": step_name(step)}
        # What an earlier attempt at the step wrote is void.
        is_void = self._messages.drop(assistant_id(self._turn_id, step))
        if self._messages.blank(reasoning_id(self._turn_id, step)) or is_void:
            self._announced = {call_id: of for call_id, of in self._announced.items() if of != step}
            yield self._snapshot()

    def _finish_step(self) -> Iterable[JSON]:
        if self._step:
            yield {"type": "STEP_FINISHED", "stepName": step_name(self._step)}
        self._step = 0

    def _write_text(self, message_id: str, text: str) -> Iterable[JSON]:
        if message_id not in self._open:
            yield from self._close_texts()
            yield {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
            self._open[message_id] = {"type": "TEXT_MESSAGE_END", "messageId": message_id}
        self._messages.write(message_id, "assistant", text)
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": text}

    def _write_reasoning(self, message_id: str, text: str) -> Iterable[JSON]:
        if message_id not in self._open:
            yield from self._close_texts()
            yield {"type": "REASONING_START", "messageId": message_id}
            yield {"type": "REASONING_MESSAGE_START", "messageId": message_id, "role": "reasoning"}
            self._open[message_id] = {"type": "REASONING_MESSAGE_END", "messageId": message_id}
            self._open[f"{message_id} span"] = {"type": "REASONING_END", "messageId": message_id}
        self._messages.write(message_id, "reasoning", text)
        yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": message_id, "delta": text}

    def _write_call(self, delta: ToolCallDelta) -> Iterable[JSON]:
        """The call while the model writes it. Models may write several at the same time."""
        parent = assistant_id(self._turn_id, delta.step)
        call = self._messages.call(parent, delta.id, delta.name)
        if delta.id not in self._announced:
            self._announced[delta.id] = delta.step
            yield from self._close_texts()
            yield call_start(delta.id, delta.name, parent)
            self._open[delta.id] = {"type": "TOOL_CALL_END", "toolCallId": delta.id}
        call.arguments.append(delta.arguments)
        yield {"type": "TOOL_CALL_ARGS", "toolCallId": delta.id, "delta": delta.arguments}

    def _announce(self, call: ToolCallStart | ToolCallActionRequired | ToolCallComplete) -> Iterable[JSON]:
        """The whole call, unless the client has it."""
        yield from self._close()
        step = self._step if isinstance(call, ToolCallActionRequired) else call.step
        if call.id in self._earlier_calls:
            return
        parent = assistant_id(self._turn_id, step)
        sent = self._messages.call(parent, call.id, call.name)
        if call.id not in self._announced:
            self._announced[call.id] = step
            sent.arguments.append(call.arguments)
            yield call_start(call.id, call.name, parent)
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call.id, "delta": call.arguments}
            yield {"type": "TOOL_CALL_END", "toolCallId": call.id}
        elif not sent.is_whole(call.name, call.arguments):
            # The model wrote it in another form, or only its beginning was sent.
            sent.name, sent.arguments = call.name, [call.arguments]
            yield self._snapshot()

    def _answer(self, call: ToolCallComplete) -> Iterable[JSON]:
        if call.id in self._answered:
            return  # the client sent this result itself
        self._answered.add(call.id)
        message_id, text = result_id(call.id), tool_text(response_of(self._run.thread_id, call))
        metadata = {NAMESPACE: {"status": call.status}}
        self._messages.write(message_id, "tool", text, toolCallId=call.id, metadata=metadata)
        result = {"messageId": message_id, "toolCallId": call.id, "content": text, "role": "tool"}
        yield {"type": "TOOL_CALL_RESULT", **result, "metadata": metadata}

    def _count(self, usage: TokenUsage) -> None:
        counted = self._usage.setdefault(usage.model, {})
        counts = {
            "inputTokens": usage.prompt_tokens,
            "outputTokens": usage.completion_tokens,
            "totalTokens": usage.total_tokens,
            "cachedInputTokens": usage.cached_tokens,
            "reasoningTokens": usage.reasoning_tokens,
        }
        for name, count in counts.items():
            counted[name] = counted.get(name, 0) + count

    def _complete(self, end: RunComplete) -> Iterable[JSON]:
        if end.status != "failed":
            yield from self._finish({"type": "success" if end.status == "completed" else "cancelled"})
            return
        yield from self._close()
        self._is_over = True
        failure = {"message": "The turn failed."}
        if end.error is not None:
            failure = {"message": end.error.message, "code": end.error.code}
        yield {"type": "RUN_ERROR", **failure, "usage": self._used()}

    def _finish(self, outcome: JSON) -> Iterable[JSON]:
        yield from self._close()
        yield from self._finish_step()
        self._is_over = True
        yield self._run.event("RUN_FINISHED", outcome=outcome, usage=self._used())

    def _used(self) -> list[JSON]:
        return [{"model": model, **counts} for model, counts in self._usage.items()]

    def _close(self) -> Iterable[JSON]:
        yield from self._open.values()
        self._open.clear()

    def _close_texts(self) -> Iterable[JSON]:
        """Close text and reasoning. Calls stay open: a model may write text between the parts of a call."""
        for key in [key for key, end in self._open.items() if "toolCallId" not in end]:
            yield self._open.pop(key)

    def _snapshot(self) -> JSON:
        return {"type": "MESSAGES_SNAPSHOT", "messages": self._messages.snapshot()}
