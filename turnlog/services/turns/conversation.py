"""What a model call reads of the conversation."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from turnlog.agents.declaration import Agent
from turnlog.domain.content import Content, content_text
from turnlog.domain.conversation import AnsweredCall, Conversation, ConversationTurn, ModelStep
from turnlog.domain.ids import MessageId, SessionId
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message, Step, ToolResult
from turnlog.ports import SessionLog
from turnlog.services.log.large_texts import load_content
from turnlog.services.log.steps import load_first_steps, load_steps
from turnlog.services.messages import load_messages

MAX_PARTS_BYTES = 4 * 1024 * 1024
"""A model call is given parts up to this size, pictures and files among them, and those of the newest messages."""

_READ_BYTES = 64 * 1024


async def recent_messages(log: SessionLog, state: SessionState, agent: Agent) -> Sequence[Message]:
    """The newest messages with their steps, as many as the agent remembers; among them the waiting and current ones."""
    # As stored, texts are larger than what is remembered of them.
    max_bytes = 2 * agent.memory_bytes + _READ_BYTES
    stored = await log.find(Message, state.session_id, limit=agent.memory_messages, newest=True, max_bytes=max_bytes)
    turn = state.active_turn
    began = next((message.sequence for message in stored if turn is not None and message.id == turn.message_id), 0)
    earlier = [message for message in reversed(stored) if message.sequence < began]
    # Of the running turn all steps are needed, of earlier ones no more than the agent remembers.
    known = await load_first_steps(log, state, earlier, newest=True, max_bytes=max_bytes)
    return [*reversed(known), *await load_steps(log, state, stored[len(earlier) :])]


async def load_conversation(
    log: SessionLog, agent: Agent, newest: Sequence[Message], current: Message, reading: Sequence[MessageId] = ()
) -> Conversation:
    """The agent's instructions, the `newest` messages with their answers and tool results, and `current` last.

    A message that was put into a turn comes before the step that read it first; `reading` are those that this call is
    the first to read. Only messages and tool results are read, never deltas: text of an abandoned attempt does not
    belong to the conversation. It has at most the bytes that the agent remembers, as far as the current turn allows.
    """
    # Messages that wait behind the running turn, or were withdrawn, are not part of the conversation yet.
    earlier = [message for message in newest if message.sequence < current.sequence and message.steers is None]
    messages = [*(message for message in earlier if message.status not in {"queued", "withdrawn"}), current]
    read = {message_id for message in messages for message_id in message.read} | {*reading}
    needed = [*messages, *(message for message in newest if message.message_id in read)]
    # Of those that this call is to read, none may be forgotten, however many messages came after it.
    known = {message.message_id for message in needed}
    needed += await load_messages(log, current.session_id, [each for each in reading if each not in known])
    references = _References(
        contents=await _contents(log, needed),
        results=await _tool_results(log, current.session_id, messages),
    )
    conversation = Conversation(
        instructions=agent.instructions,
        turns=tuple(map(references.turn, messages)),
        reading=tuple(references.steering(reading)),
    )
    return conversation.within(agent.memory_bytes)


async def _contents(log: SessionLog, messages: Sequence[Message]) -> dict[MessageId, Content]:
    """The content of each message. Of old ones, only the text, which names pictures and files."""
    contents: dict[MessageId, Content] = {}
    room = MAX_PARTS_BYTES
    for message in sorted(messages, key=lambda message: message.sequence, reverse=True):
        room -= message.parts_bytes
        if room < 0 and message.content:
            contents[message.message_id] = message.content
            continue
        content = await load_content(log, message)
        contents[message.message_id] = content if room >= 0 else content_text(content)
    return contents


async def _tool_results(log: SessionLog, session_id: SessionId, messages: Sequence[Message]) -> dict[str, ToolResult]:
    calls = sum(len(step.tool_calls) for message in messages for step in message.steps)
    if not calls:
        return {}
    found = await log.find(ToolResult, session_id, after=messages[0].sequence - 1, limit=calls, newest=True)
    return {result.id: result for result in found}


@dataclass(frozen=True)
class _References:
    """What messages refer to by id: the contents of other messages, and tool results."""

    contents: dict[MessageId, Content]
    results: dict[str, ToolResult]

    def turn(self, message: Message) -> ConversationTurn:
        steps = tuple(map(self._step, message.steps))
        return ConversationTurn(self.contents[message.message_id], message.model, message.status, steps)

    def _step(self, step: Step) -> ModelStep:
        results = [self.results.get(call.id) for call in step.tool_calls]
        texts = [None if result is None else content_of(result) for result in results]
        calls = tuple(map(AnsweredCall, step.tool_calls, texts))
        return ModelStep(step.text, calls, read=tuple(self.steering(step.read)), vendor={**step.vendor})

    def steering(self, message_ids: Sequence[MessageId]) -> Iterator[Content]:
        """The contents of these ids, except those that the agent no longer remembers."""
        for message_id in message_ids:
            if message_id in self.contents:
                yield self.contents[message_id]


def content_of(result: ToolResult) -> str:
    """A tool's response as text for the model."""
    response = result.outcome.response
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
