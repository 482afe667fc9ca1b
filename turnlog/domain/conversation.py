"""The conversation that a model call is given: whole turns, bounded in number and in bytes, in no server's form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnlog.domain.content import Content, content_bytes
from turnlog.domain.sizes import size_of
from turnlog.domain.values import MessageStatus, ToolCall

SHORTENED_RESULT_BYTES = 2 * 1024
"""What is left of a large tool result of an earlier turn where the conversation has to become shorter."""

_ENTRY_BYTES = 16  # for the role and the JSON around a text


@dataclass(frozen=True)
class AnsweredCall:
    """A tool call with its result as text; None where it was never answered."""

    call: ToolCall
    result: str | None


@dataclass(frozen=True)
class ModelStep:
    """One model call: the messages that it was the first to read, its text, and its tool calls.

    `vendor` are fields of its answer that only the server of its model knows.
    """

    text: str
    calls: tuple[AnsweredCall, ...] = ()
    read: tuple[Content, ...] = ()
    vendor: dict[str, object] | None = None

    @property
    def size(self) -> int:
        """Bytes of its texts, as a measure of its tokens."""
        calls = sum(size_of(each.call.arguments) + size_of(each.result or "") + 2 * _ENTRY_BYTES for each in self.calls)
        return size_of(self.text) + sum(map(content_bytes, self.read)) + calls + _ENTRY_BYTES


@dataclass(frozen=True)
class ConversationTurn:
    """A user's message with what came of it. `model` is the one that answered; `status` how the turn ended."""

    content: Content
    model: str
    status: MessageStatus
    steps: tuple[ModelStep, ...] = ()

    @property
    def size(self) -> int:
        return content_bytes(self.content) + sum(step.size for step in self.steps) + _ENTRY_BYTES


@dataclass(frozen=True)
class Conversation:
    """What a model call is given: the agent's instructions, earlier turns, and the running turn, which is the last.

    `reading` are the messages put into the running turn that this call is the first to read.
    """

    instructions: str
    turns: tuple[ConversationTurn, ...]
    reading: tuple[Content, ...] = ()

    @property
    def size(self) -> int:
        reading = sum(map(content_bytes, self.reading))
        return size_of(self.instructions) + sum(turn.size for turn in self.turns) + reading

    @property
    def has_tool_results(self) -> bool:
        """Whether the running turn has called a tool already."""
        return any(step.calls for step in self.turns[-1].steps)

    def within(self, max_bytes: int) -> "Conversation":
        """Return the conversation in at most `max_bytes`, as far as the running turn allows.

        Large tool results of earlier turns are shortened first, then the oldest whole turns are left out: a call is
        never without its result. What remains too large are results of the running turn: the oldest are shortened.
        """
        if self.size <= max_bytes:
            return self
        *earlier, running = self.turns
        earlier = [_shortened(turn) for turn in earlier]
        room = max_bytes - size_of(self.instructions) - running.size - sum(map(content_bytes, self.reading))
        remaining = _newest_within(earlier, room)
        if room < 0:
            running = _shortened_by(running, -room)
        return replace(self, turns=(*remaining, running))


def _newest_within(turns: Sequence[ConversationTurn], max_bytes: int) -> Sequence[ConversationTurn]:
    room = max_bytes
    for count, turn in enumerate(reversed(turns)):
        room -= turn.size
        if room < 0:
            return turns[len(turns) - count :]
    return turns


def _shortened(turn: ConversationTurn) -> ConversationTurn:
    return replace(turn, steps=tuple(replace(step, calls=tuple(map(_shorten, step.calls))) for step in turn.steps))


def _shortened_by(turn: ConversationTurn, missing: int) -> ConversationTurn:
    steps: list[ModelStep] = []
    for step in turn.steps:
        calls: list[AnsweredCall] = []
        for call in step.calls:
            shorter = _shorten(call) if missing > 0 else call
            missing -= size_of(call.result or "") - size_of(shorter.result or "")
            calls.append(shorter)
        steps.append(replace(step, calls=tuple(calls)))
    return replace(turn, steps=tuple(steps))


def _shorten(answered: AnsweredCall) -> AnsweredCall:
    size = size_of(answered.result or "")
    if answered.result is None or size <= SHORTENED_RESULT_BYTES:
        return answered
    head = answered.result.encode()[:SHORTENED_RESULT_BYTES].decode(errors="ignore")
    return replace(answered, result=f"{head}\n[shortened: {size} bytes in all]")
