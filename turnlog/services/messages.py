"""Messages with their current status: one, a page, the waiting ones; their responses, and waiting for an end."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from turnlog.domain.chunks import Event
from turnlog.domain.content import Content
from turnlog.domain.errors import MessageNotFoundError, SessionNotFoundError, ToolCallNotFoundError
from turnlog.domain.events import (
    MessageQueued,
    MessageWithdrawn,
    RunComplete,
    SessionDeleted,
    ToolCallActionRequired,
    ToolCallComplete,
    UserMessage,
)
from turnlog.domain.ids import MessageId, SessionId, bound_id, public_id, session_of
from turnlog.domain.message_status import with_current_status
from turnlog.domain.pages import MAX_RESPONSE_BYTES, Page, PageFiller
from turnlog.domain.responses import with_texts
from turnlog.domain.session import SessionState, require_owned
from turnlog.domain.stored_documents import Message, ModelResponse, StepDocument, ToolResult, response_id, step_id
from turnlog.ports import SessionLog
from turnlog.services.log.large_texts import load_content, load_whole_result
from turnlog.services.log.steps import load_first_steps, load_steps
from turnlog.services.log.stream import follow_events
from turnlog.services.log.tool_outcomes import load_first_outcomes

_MAX_STEPS = 100


@dataclass(frozen=True)
class MessagePage:
    """Messages, and the outcomes of their tool calls by the calls' ids."""

    messages: Sequence[Message]
    outcomes: Mapping[str, ToolCallComplete]
    has_more: bool


class Messages:
    def __init__(self, log: SessionLog) -> None:
        self._log = log

    async def get(self, owner: str, message_id: MessageId) -> Message:
        """The message of this id. Raises MessageNotFoundError, also for another owner's message."""
        session = session_of(message_id)
        state = None if session is None else await self._log.state(bound_id(owner, session))
        if state is None or state.deleted or not state.is_complete or state.owner != owner:
            raise MessageNotFoundError(message_id)
        return await self.load(state, message_id)

    async def load(self, state: SessionState, message_id: MessageId) -> Message:
        """A message of the session whose `state` was just read, with its steps. Raises MessageNotFoundError."""
        # The lead is read last: once the message is not in the state any more, its lead's document holds what was read.
        message = await self._log.get(Message, state.session_id, message_id)
        if message is None or session_of(message_id) != public_id(state.session_id):
            raise MessageNotFoundError(message_id)
        if message.steers is None:
            (message,) = await load_steps(self._log, state, [message])
            return with_current_status(message, state)
        leads = await load_messages(self._log, state.session_id, [message.steers])
        return with_current_status(message, state, *await load_steps(self._log, state, leads))

    async def contents(self, messages: Sequence[Message]) -> Sequence[Content]:
        """The content of each message as it was sent."""
        return [await load_content(self._log, message) for message in messages]

    async def list(
        self, owner: str, session_id: SessionId, *, after: MessageId | None, limit: int, newest: bool
    ) -> MessagePage:
        """At most `limit` messages after `after`, oldest first. With `newest`: before `after`, newest first.

        It has fewer if they are larger than `MAX_RESPONSE_BYTES` together.

        Raises:
            SessionNotFoundError, MessageNotFoundError
        """
        state = require_owned(await self._log.state(session_id), owner, session_id)
        sequence = None if after is None else (await self.load(state, after)).sequence
        if newest:
            stored = await self._log.find(
                Message, session_id, before=sequence, limit=limit, newest=True, max_bytes=MAX_RESPONSE_BYTES
            )
            stored.reverse()
        else:
            stored = await self._log.find(
                Message, session_id, after=sequence or 0, limit=limit, max_bytes=MAX_RESPONSE_BYTES
            )
        found = await self._fill(state, stored, newest=newest)
        leads = await self._load_leads(state, found)
        current = [
            with_current_status(message, state, leads.get(message.steers or message.message_id)) for message in found
        ]
        first, outcomes = await load_first_outcomes(self._log, session_id, current, newest=newest)
        has_more = stored.has_more or found.has_more or len(first) < len(current)
        return MessagePage(first, outcomes, has_more)

    async def outcomes(self, message: Message) -> Mapping[str, ToolCallComplete]:
        """The outcomes of the tool calls of `message`, which has its steps, by the calls' ids."""
        _, outcomes = await load_first_outcomes(self._log, message.session_id, [message])
        return outcomes

    async def _fill(self, state: SessionState, stored: Sequence[Message], *, newest: bool) -> Page[Message]:
        """The first of `stored` that fit into a response, with their steps."""
        filler = PageFiller[Message](None, MAX_RESPONSE_BYTES)
        while rest := stored[len(filler.page()) :]:
            for message in await load_first_steps(self._log, state, rest, newest=newest):
                steps = sum(len(step.model_dump_json()) for step in message.steps)  # they are no part of the dump
                size = message.parts_bytes + len(message.model_dump_json()) + steps
                if not filler.has_room(size):
                    return filler.page()
                filler.add(message, size)
        return filler.page()

    async def _load_leads(self, state: SessionState, messages: Iterable[Message]) -> dict[MessageId, Message]:
        """The messages that `messages` steer, with their steps."""
        steered = {message.steers for message in messages if message.steers is not None}
        found = await load_messages(self._log, state.session_id, steered)
        leads = [lead for each in found for lead in await load_steps(self._log, state, [each])]
        return {lead.message_id: lead for lead in leads}

    async def list_queued(self, owner: str, session_id: SessionId) -> Sequence[Message]:
        """The messages that wait for their turns, in the order in which they will run."""
        state = require_owned(await self._log.state(session_id), owner, session_id)
        waiting = await load_messages(self._log, session_id, state.queue)
        messages = [with_current_status(message, state) for message in waiting]
        return [message for message in messages if message.status == "queued"]

    async def responses(self, message: Message) -> Sequence[Mapping[str, Any]]:
        """The responses to the model calls of a message's turn, in order. `message` has its steps."""
        lead = message.steers or message.message_id
        ids = [step_id(lead, step) for step in range(1, len(message.steps) + 1)]
        found = [await self._log.get(StepDocument, message.session_id, each) for each in ids]
        responses = [await self._response(message.session_id, step) for step in found if step is not None]
        return [response for response in responses if response is not None]

    async def _response(self, session_id: SessionId, document: StepDocument) -> Mapping[str, Any] | None:
        body = document.response
        if body is None:
            found = await self._log.get(ModelResponse, session_id, response_id(document.message_id, document.number))
            body = None if found is None else found.body
        return None if body is None else with_texts(body, document.step)

    async def active(self, state: SessionState) -> Message | None:
        """The message of the active turn. The turn's events are those after the message's sequence less one."""
        turn = state.active_turn
        return None if turn is None else await self._log.get(Message, state.session_id, turn.message_id)

    async def tool_result(self, owner: str, session_id: SessionId, call_id: str) -> ToolResult:
        """The answer to a tool call. Raises SessionNotFoundError, ToolCallNotFoundError."""
        require_owned(await self._log.state(session_id), owner, session_id)
        result = await self._log.get(ToolResult, session_id, call_id)
        if result is None:
            raise ToolCallNotFoundError(f"There is no answered tool call {call_id!r} in this session.")
        return await load_whole_result(self._log, session_id, result)

    async def wait_for_end(self, message: Message, timeout: timedelta) -> Message:  # no error
        """Wait until the turn of `message` has ended or parked, or the message was withdrawn, or `timeout` has passed.

        `message` was just read. Returns it as it is then. Raises SessionNotFoundError: the session was deleted.
        """
        if not timeout:
            return message
        if message.status in {"queued", "running"}:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout.total_seconds()):
                    await self._wait_for_end(message, timeout)
        state = await self._log.state(message.session_id)
        return message if state is None or state.deleted else await self.load(state, message.message_id)

    async def _wait_for_end(self, message: Message, poll: timedelta) -> None:
        is_end = EndOf(message)
        async with aclosing(follow_events(self._log, message.session_id, message.sequence - 1, poll)) as batches:
            async for events in batches:
                end = next((event for event in events if is_end(event)), None)
                if end is not None and isinstance(end.data, SessionDeleted):
                    raise SessionNotFoundError(message.session_id)
                if end is not None or await self._has_parked(message, events):
                    return

    async def _has_parked(self, message: Message, events: Sequence[Event]) -> bool:
        """Whether the turn waits for an action according to `events`, and still does."""
        if not any(isinstance(event.data, ToolCallActionRequired) for event in events):
            return False
        state = await self._log.state(message.session_id)
        current = None if state is None or state.deleted else await self.load(state, message.message_id)
        return current is not None and current.status == "requires_action"

    async def find_model_stop(self, message: Message) -> datetime | None:
        """When the newest model call of the message's turn ended; None if there was none."""
        chunks = await self._log.newest_of_type(message.session_id, "message.complete", _MAX_STEPS)
        events = [event for chunk in chunks for event in chunk.events if event.type == "message.complete"]
        return next((event.timestamp for event in reversed(events) if event.turn_id == message.turn_id), None)


class EndOf:
    """A predicate for events from a message's own on: whether nothing of that message follows the event.

    A message may change its turn: one that steered gets its own turn if no model call has read it.
    """

    def __init__(self, message: Message) -> None:
        self._message_id = message.message_id
        self._turn_id = message.turn_id

    def __call__(self, event: Event) -> bool:
        match event.data:
            case UserMessage() | MessageQueued() if event.message_id == self._message_id:
                self._turn_id = event.turn_id or self._turn_id
                return False
            case MessageWithdrawn():
                return event.message_id == self._message_id
            case RunComplete():
                return event.turn_id == self._turn_id
            case SessionDeleted():
                return True
            case _:
                return False


async def load_messages(log: SessionLog, session_id: SessionId, message_ids: Iterable[MessageId]) -> Sequence[Message]:
    """The messages of these ids, in the same order. Missing ones are left out."""
    found = [await log.get(Message, session_id, message_id) for message_id in message_ids]
    return [message for message in found if message is not None]
