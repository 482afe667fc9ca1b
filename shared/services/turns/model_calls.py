"""Attempts at model calls: the model's answer is written to the log while it arrives."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from shared.agents.declaration import Agent
from shared.agents.registry import require_agent
from shared.domain.errors import ModelError, ProjectNotFoundError
from shared.domain.events import MessageDelta, MessageStart
from shared.domain.ids import MessageId
from shared.domain.session import ActiveTurn, SessionState
from shared.domain.stored_documents import Message, Step
from shared.domain.turn import Permission, permission_for_step
from shared.domain.turn_events import Ending, turn_drafts
from shared.domain.values import Failure, ModelRequest
from shared.ports import Clock, ModelClient, ModelStream, SessionLog
from shared.services.projects.patches import ProjectPatches
from shared.services.turns.answers import Answer
from shared.services.turns.attempts import AttemptRequest, Guard, claim_attempt, load_active_message
from shared.services.turns.conversation import conversation, recent_messages
from shared.services.turns.relay import Relay
from shared.services.writer import Decision, SessionWriter
from shared.timings import MODEL_CALL_TIMEOUT

_CALL_SECONDS = MODEL_CALL_TIMEOUT.total_seconds()
_RETRY_PAUSES = (0.5, 2.0, None)

ModelCallOutcome: TypeAlias = Literal["done", "ended", "tools", "cancelled", "failed", "retry", "superseded"]
"""`done`: the answer is recorded. `ended`: the turn's end is recorded with it. `tools`: the answer is recorded and
requests tool calls. `cancelled`: the turn is asked to stop. `failed`: the turn is to fail. `retry`: this attempt
failed, another one may succeed. `superseded`: the turn or the step does not belong to this attempt any more."""


@dataclass(frozen=True)
class ModelCallResult:
    """What came of an attempt. `call_ids` are the tool calls that the answer requests."""

    outcome: ModelCallOutcome
    call_ids: Sequence[str] = ()
    failure: Failure | None = None


def _ignore(_: datetime) -> None:
    pass


@dataclass(frozen=True)
class ModelCalls:
    """`model` opens the client when it is first needed. `new_relay` creates the relay of one attempt."""

    log: SessionLog
    clock: Clock
    vibecoding: ProjectPatches
    model: Callable[[], Awaitable[ModelClient]]
    new_relay: Callable[[], Relay]
    renew_lease_after: timedelta

    async def run(
        self, request: AttemptRequest, awaits_first_text: Callable[[datetime], None] = _ignore
    ) -> ModelCallResult:
        """Begin the attempt in the log, call the model, and record its answer.

        If it runs twice, the second execution follows the first and returns the same result, or `superseded`.
        `awaits_first_text` is called if no reader can have text of the turn yet, with the time since when they wait.
        """
        return await _Execution(self, request, awaits_first_text).run()


class _Execution:
    """One execution of an attempt."""

    def __init__(
        self, calls: ModelCalls, request: AttemptRequest, awaits_first_text: Callable[[datetime], None]
    ) -> None:
        self._calls = calls
        self._request = request
        self._awaits_first_text = awaits_first_text
        self._writer = SessionWriter(calls.log, calls.clock, request.session_id)
        self._relay = calls.new_relay()
        self._stream: ModelStream | None = None

    async def run(self) -> ModelCallResult:
        start = MessageStart(step=self._request.step, attempt=self._request.attempt)
        match await claim_attempt(self._calls.log, self._writer, self._permission, start):
            case Permission.ACT:
                return await self._act()
            case Permission.DONE:
                message = await load_active_message(self._calls.log, self._writer.state, self._request.fence)
                return _recorded(require_agent(message.agent), message.steps[self._request.step - 1])
            case Permission.CANCELLED:
                return ModelCallResult("cancelled")
            case _:
                return ModelCallResult("superseded")

    def _permission(self, state: SessionState) -> Permission:
        request = self._request
        return permission_for_step(state, request.fence, request.step, request.attempt, self._writer.id)

    def _may_continue(self, state: SessionState) -> bool:
        return self._permission(state) is Permission.ACT

    async def _act(self) -> ModelCallResult:
        seconds_left = self._request.seconds_left(self._calls.clock.now())
        try:
            async with asyncio.timeout(min(_CALL_SECONDS, seconds_left)):
                return await self._answer()
        except TimeoutError:
            code = "turn_timeout" if seconds_left <= _CALL_SECONDS else "model_timeout"
            failure = Failure(code=code, message="The model did not finish in time.", retryable=True)
            return ModelCallResult("failed", failure=failure)
        except ProjectNotFoundError as error:
            return ModelCallResult("failed", failure=Failure(code=error.code, message=str(error)))
        except ModelError as error:
            failure = Failure(code=error.failure_code, message=str(error), retryable=error.transient)
            # An answer that broke off is worth another attempt. A server that does not answer was tried often enough.
            may_retry = error.transient and self._has_begun
            return ModelCallResult("retry" if may_retry else "failed", failure=failure)

    async def _answer(self) -> ModelCallResult:
        newest, message = await self._load_messages()
        turn = self._turn
        # An earlier attempt or step may have given readers text.
        if turn is not None and self._request.attempt == 1 and not any(step.text for step in message.steps):
            self._awaits_first_text(turn.running_since)
        request = await self._model_request(newest, message)
        guard = Guard(self._calls.log, self._calls.clock, self._writer, self._calls.renew_lease_after)
        async with guard.watch(self._may_continue, self._relay.stop):
            rest = await self._relay.run(self._pieces(request), self._write)
            return await self._record(message, rest)

    async def _load_messages(self) -> tuple[Sequence[Message], Message]:
        """The newest messages, and the turn's own message, which is usually one of them."""
        log, state, turn = self._calls.log, self._writer.state, self._turn
        newest = () if turn is None else await recent_messages(log, state.session_id, require_agent(turn.agent))
        own = next((message for message in newest if turn is not None and message.id == turn.message_id), None)
        return newest, own or await load_active_message(log, state, self._request.fence)

    async def _model_request(self, newest: Sequence[Message], message: Message) -> ModelRequest:
        agent = require_agent(message.agent)
        if agent.works_on_project:
            briefing = await self._calls.vibecoding.describe_project(self._writer.state)
            agent = replace(agent, instructions=f"{agent.instructions}\n\n{briefing}")
        return ModelRequest(
            model=message.model,
            messages=await conversation(self._calls.log, agent, newest, message, self._reading),
            tools=[tool.schema for tool in agent.tools],
            timeout=MODEL_CALL_TIMEOUT,
            # A turn applies one patch; after that the model reports what it did.
            may_call_tools=not self._request.last_step and message.patch is None,
            output_schema=None if agent.output_type is None else agent.output_type.model_json_schema(),
        )

    @property
    def _turn(self) -> ActiveTurn | None:
        """The turn when this attempt began."""
        return self._request.fence.turn_in(self._writer.state)

    @property
    def _reading(self) -> tuple[MessageId, ...]:
        """The messages that were put into the turn before this step began and that it is the first to read."""
        return () if self._turn is None else self._turn.reading

    @property
    def _has_begun(self) -> bool:
        return self._stream is not None and bool(self._stream.text or self._stream.tool_calls)

    async def _pieces(self, request: ModelRequest) -> AsyncGenerator[str]:
        """The answer as it arrives. A server that cannot answer now is called again, until its first piece."""
        model = await self._calls.model()
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
        delta = MessageDelta(step=self._request.step, attempt=self._request.attempt, text=text)

        async def decide(state: SessionState) -> Decision[bool]:
            turn = state.active_turn
            if turn is None or not self._may_continue(state):
                return Decision(result=False)
            return Decision(True, turn_drafts(turn, delta))  # noqa: FBT003

        return await self._writer.transact(decide)

    async def _record(self, message: Message, rest: str) -> ModelCallResult:
        """Append the step's end with its documents, and the turn's end with it if nothing is left to do.

        After a cancel, record the part of the step that there is.
        """
        answer = Answer(self._request, message, self._stream, self._reading)
        agent = require_agent(message.agent)

        async def decide(state: SessionState) -> Decision[ModelCallResult]:
            turn = self._request.fence.turn_in(state)
            if turn is None or turn.call is None or turn.call.writer != self._writer.id or turn.call.done:
                return Decision(ModelCallResult("superseded"))
            result = ModelCallResult("cancelled") if turn.cancelling else _recorded(agent, answer.step)
            drafts = turn_drafts(turn, *answer.events(turn, rest))
            if result.outcome == "done" and not answer.is_partial and _has_nothing_left(state, turn, agent):
                ending = Ending(status="completed", at=self._calls.clock.now())
                answered = turn.with_call_done(turn.usage + answer.usage)
                documents = (ending.ended_message(answered, answer.message), answer.response)
                drafts += ending.drafts(answered, answer.message)
                return Decision(ModelCallResult("ended"), drafts, documents)
            return Decision(result, drafts, (answer.message, answer.response))

        return await self._writer.transact(decide)


def _has_nothing_left(state: SessionState, turn: ActiveTurn, agent: Agent) -> bool:
    """Whether, after a step without tool calls, `run.complete` is all that the turn's end appends."""
    return not (turn.unread or state.queue or agent.works_on_project)


def _recorded(agent: Agent, step: Step) -> ModelCallResult:
    """The result of a step that is recorded: the same for every execution."""
    if step.tool_calls:
        return ModelCallResult("tools", [call.id for call in step.tool_calls])
    if (problem := agent.output_problem(step.text)) is not None:
        return ModelCallResult("failed", failure=Failure(code="invalid_output", message=problem))
    return ModelCallResult("done")
