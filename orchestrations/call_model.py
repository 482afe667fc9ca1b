"""Activity: one attempt of one model call, its answer written to the log while it comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from orchestrations.contracts import Reply, Work
from orchestrations.tracing import traced_activity
from shared.agents.declaration import Agent
from shared.agents.registry import agent_named
from shared.domain.documents import Message, ModelResponse, Step, response_id
from shared.domain.errors import ModelError, ProjectNotFoundError
from shared.domain.events import (
    EventData,
    MessageDelta,
    MessageStart,
    TokenUsage,
)
from shared.domain.ids import MessageId, call_id
from shared.domain.session import ActiveTurn, SessionState
from shared.domain.turn import Ending, Standing, standing_of_step, step_completion
from shared.domain.values import ANSWER_BYTES, Failure, ModelRequest, ToolCall, Usage, cut, size_of
from shared.ports import ModelStream
from shared.services.turns.attempts import Guard, claim_attempt, load_active_message, turn_drafts
from shared.services.turns.conversation import conversation, recent_messages
from shared.services.turns.relay import Relay
from shared.services.writer import Decision, SessionWriter
from shared.telemetry.turns import awaits_first_text
from shared.timings import MODEL_CALL_TIMEOUT
from shared.wiring import Services, services

_CALL_SECONDS = MODEL_CALL_TIMEOUT.total_seconds()
_RETRY_PAUSES = (0.5, 2.0, None)


@traced_activity
async def call_model(work: Any) -> dict[str, Any]:
    """Begin the attempt in the log, call the model, record its answer.

    Run twice, the second execution follows the first and gives the same reply, or `superseded`.
    """
    return (await _ModelCall(services(), Work.model_validate(work)).run()).dump()


class _ModelCall:
    """One execution of an attempt."""

    def __init__(self, on: Services, work: Work) -> None:
        self._on = on
        self._work = work
        self._writer = SessionWriter(on.log, on.clock, work.session_id)
        self._relay = Relay(on.settings.flush_ms, on.settings.delta_flush_bytes)
        self._stream: ModelStream | None = None

    async def run(self) -> Reply:
        start = MessageStart(step=self._work.step, attempt=self._work.attempt)
        await self._writer.load()
        standing = await claim_attempt(self._on.log, self._writer, self._standing, start)
        match standing:
            case Standing.MINE:
                return await self._act()
            case Standing.DONE:
                message = await load_active_message(self._on.log, self._writer.state, self._work.fence)
                step = message.steps[self._work.step - 1]
                return _reply(agent_named(message.agent), step)
            case Standing.CANCELLED:
                return Reply(outcome="cancelled")
            case _:
                return Reply(outcome="superseded")

    def _standing(self, state: SessionState) -> Standing:
        return standing_of_step(state, self._work.fence, self._work.step, self._work.attempt, self._writer.id)

    async def _act(self) -> Reply:
        time_left = self._work.time_left(self._on.clock.now())
        try:
            async with asyncio.timeout(min(_CALL_SECONDS, time_left)):
                return await self._answer()
        except TimeoutError:
            code = "turn_timeout" if time_left <= _CALL_SECONDS else "model_timeout"
            failure = Failure(code=code, message="The model did not finish in time.", retryable=True)
            return Reply(outcome="failed", failure=failure)
        except ProjectNotFoundError as error:
            return Reply(outcome="failed", failure=Failure(code=error.code, message=str(error)))
        except ModelError as error:
            failure = Failure(code=error.failure_code, message=str(error), retryable=error.transient)
            # What breaks off in mid-answer is worth another attempt; a server that doesn't answer was tried enough.
            return Reply(outcome="again" if error.transient and self._has_begun else "failed", failure=failure)

    async def _answer(self) -> Reply:
        newest, message = await self._messages()
        self._note_silence(message)
        agent = await self._briefed(agent_named(message.agent))
        request = ModelRequest(
            model=message.model,
            messages=await conversation(self._on.log, agent, newest, message, self._reading),
            tools=[tool.schema for tool in agent.tools],
            timeout=MODEL_CALL_TIMEOUT,
            # A turn applies one patch; then the model is to say what it did.
            may_call_tools=not self._work.last_step and message.patch is None,
            output_schema=None if agent.output_type is None else agent.output_type.model_json_schema(),
        )
        guard = Guard(self._on.log, self._on.clock, self._writer, self._on.settings.timings.lease_after)
        async with guard.over_work(self._may_go_on, self._relay.stop):
            rest = await self._relay.run(self._pieces(request), self._write)
            return await self._record(message, rest)

    def _note_silence(self, message: Message) -> None:
        """Tell how long readers wait for the turn's first text, unless they may have some of an attempt before this."""
        turn = self._work.fence.turn_in(self._writer.state)
        if turn is not None and self._work.attempt == 1 and not any(step.text for step in message.steps):
            awaits_first_text(turn.running_since)

    async def _messages(self) -> tuple[Sequence[Message], Message]:
        """The newest messages, and the turn's own, which mostly is one of them."""
        state, fence = self._writer.state, self._work.fence
        turn = fence.turn_in(state)
        newest = () if turn is None else await recent_messages(self._on.log, state.session_id, agent_named(turn.agent))
        own = next((message for message in newest if turn is not None and message.id == turn.message_id), None)
        return newest, own or await load_active_message(self._on.log, state, fence)

    async def _briefed(self, agent: Agent) -> Agent:
        """The agent, told of the session's project as it is now if it works on that."""
        if not agent.works_on_project:
            return agent
        briefing = await self._on.vibecoding.briefing(self._writer.state)
        return replace(agent, instructions=f"{agent.instructions}\n\n{briefing}")

    @property
    def _reading(self) -> tuple[MessageId, ...]:
        """The messages put into the turn that this step is the first to read: those there were when it began."""
        turn = self._work.fence.turn_in(self._writer.state)
        return () if turn is None else turn.reading

    def _may_go_on(self, state: SessionState) -> bool:
        return self._standing(state) is Standing.MINE

    @property
    def _has_begun(self) -> bool:
        return self._stream is not None and bool(self._stream.text or self._stream.tool_calls)

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[str]:
        """The answer as it comes. A server that can't answer now is asked again, until its first word."""
        model = await self._on.model()
        for pause in _RETRY_PAUSES:
            try:
                async with model.stream(request) as self._stream:
                    async for piece in self._stream:
                        yield piece
                return
            except ModelError as error:
                if pause is None or not error.transient or self._has_begun:
                    raise
            await asyncio.sleep(pause)

    async def _write(self, text: str) -> bool:
        delta = MessageDelta(step=self._work.step, attempt=self._work.attempt, text=text)

        async def decide(state: SessionState) -> Decision[bool]:
            mine = self._may_go_on(state)
            return Decision(mine, turn_drafts(state, delta) if mine else ())

        return await self._writer.settle(decide)

    async def _record(self, message: Message, rest: str) -> Reply:
        """Append the step's end with its documents, and the turn's end with it if nothing is left to do.

        After a cancel, what there is of the step.
        """
        partial = self._stream is None or self._stream.finish_reason is None
        step = self._step(message, partial=partial)
        usage = self._stream.usage if self._stream is not None else None
        kept = message.model_copy(update={"steps": (*message.steps, step), "usage": message.usage + (usage or Usage())})

        async def decide(state: SessionState) -> Decision[Reply]:
            turn = self._work.fence.turn_in(state)
            if turn is None or turn.call is None or turn.call.writer != self._writer.id or turn.call.done:
                return Decision(Reply(outcome="superseded"))
            reply = Reply(outcome="cancelled") if turn.cancelling else _reply(agent_named(message.agent), step)
            drafts = turn_drafts(state, *self._events(turn, step, rest, usage, partial=partial))
            if reply.outcome == "done" and not partial and _has_nothing_left(state, turn):
                ending = Ending(status="completed", at=self._on.clock.now())
                answered = turn.with_call_done(turn.usage + (usage or Usage()))
                documents = (ending.ended_message(answered, kept), self._response(message, step))
                return Decision(Reply(outcome="ended"), [*drafts, *ending.drafts(answered, kept)], documents)
            return Decision(reply, drafts, (kept, self._response(message, step)))

        return await self._writer.settle(decide)

    def _step(self, message: Message, *, partial: bool) -> Step:
        # All steps of a turn stand in one document: together they get the room of one answer.
        room = max(0, ANSWER_BYTES - sum(size_of(step.text) for step in message.steps))
        text, truncated = cut(self._stream.text if self._stream else "", room)
        asked = () if partial or self._stream is None else self._stream.tool_calls
        calls = tuple(
            ToolCall(id=call_id(self._work.turn_id, self._work.step, index), name=call.name, arguments=call.arguments)
            for index, call in enumerate(asked)
        )
        finish_reason = self._stream.finish_reason if self._stream else None
        read = self._reading
        return Step(text=text, read=read, tool_calls=calls, finish_reason=finish_reason, truncated=truncated)

    def _events(
        self, turn: ActiveTurn, step: Step, rest: str, usage: Usage | None, *, partial: bool
    ) -> list[EventData]:
        number, attempt = self._work.step, self._work.attempt
        events: list[EventData] = [MessageDelta(step=number, attempt=attempt, text=rest)] if rest else []
        events.append(step_completion(turn.message_id, number, attempt, step, partial=partial))
        if usage is not None:
            used = usage.model_dump()
            events.append(TokenUsage(**used, model=turn.model, agent=turn.agent, iteration=turn.model_calls + 1))
        return events

    def _response(self, message: Message, step: Step) -> ModelResponse:
        body = {"object": "chat.completion", "model": message.model} if self._stream is None else self._stream.response
        choice = {"index": 0, "finish_reason": None, "message": {"role": "assistant", "content": step.text}}
        return ModelResponse(
            id=response_id(message.message_id, self._work.step),
            sequence=message.sequence,
            message_id=message.message_id,
            step=self._work.step,
            body={"choices": [choice], **body},
        )


def _has_nothing_left(state: SessionState, turn: ActiveTurn) -> bool:
    """Whether the turn's end, after a step without tool calls, is its `run.complete` and nothing else."""
    return not (turn.unread or state.queue or agent_named(turn.agent).works_on_project)


def _reply(agent: Agent, step: Step) -> Reply:
    if step.tool_calls:
        return Reply(outcome="tools", call_ids=[call.id for call in step.tool_calls])
    if (problem := agent.output_misfit(step.text)) is not None:
        return Reply(outcome="failed", failure=Failure(code="invalid_output", message=problem))
    return Reply(outcome="done")
