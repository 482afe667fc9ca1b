"""Attempts at model calls: the model's answer is written to the log while it arrives."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from turnlog.agents.declaration import Agent
from turnlog.agents.registry import require_agent
from turnlog.domain.errors import BudgetExceededError, ModelError, ProjectNotFoundError
from turnlog.domain.events import Delta, MessageStart
from turnlog.domain.ids import MessageId
from turnlog.domain.prices import Prices
from turnlog.domain.session import ActiveTurn, SessionState
from turnlog.domain.stored_documents import Message, Step
from turnlog.domain.turn import Permission, permission_for_step
from turnlog.domain.turn_ending import Ending
from turnlog.domain.turn_events import turn_drafts
from turnlog.domain.values import Failure, Piece
from turnlog.ports import Clock, ModelClient, ModelRequest, SessionLog
from turnlog.services.log.steps import load_step, load_steps
from turnlog.services.log.writer import Decision
from turnlog.services.projects.budgets import Budgets, estimate_tokens
from turnlog.services.projects.patches import ProjectPatches
from turnlog.services.projects.webhooks import Webhooks
from turnlog.services.turns.answers import Answer, delta_of
from turnlog.services.turns.attempts import POISONED, AttemptRequest, Guard, claim_attempt, load_active_message
from turnlog.services.turns.conversation import load_conversation, recent_messages
from turnlog.services.turns.model_retries import CallSettings, RetriedCall
from turnlog.services.turns.relay import Relay, split_pieces

ModelCallOutcome: TypeAlias = Literal["done", "ended", "tools", "cancelled", "failed", "retry", "superseded"]
"""`done`: the answer is recorded. `ended`: the turn's end is recorded with it. `tools`: the answer is recorded and
requests tool calls. `cancelled`: the turn is asked to stop. `failed`: the turn is to fail. `retry`: this attempt
failed, another one may succeed. `superseded`: the turn or the step does not belong to this attempt any more."""


@dataclass(frozen=True)
class ModelCallResult:
    """What came of an attempt. `call_ids` are the tool calls that the answer requests.

    `calls` is how often the attempt called the model before it failed.
    """

    outcome: ModelCallOutcome
    call_ids: Sequence[str] = ()
    failure: Failure | None = None
    calls: int = 0


@dataclass(frozen=True)
class ModelCalls:
    """`model` opens the client when it is first needed. `new_relay` creates the relay of one attempt."""

    log: SessionLog
    clock: Clock
    vibecoding: ProjectPatches
    model: Callable[[], Awaitable[ModelClient]]
    new_relay: Callable[[], Relay]
    renew_lease_after: timedelta
    settings: CallSettings
    prices: Prices
    budgets: Budgets
    webhooks: Webhooks

    async def run(
        self, request: AttemptRequest, on_first_text_awaited: Callable[[datetime], None] = lambda _: None
    ) -> ModelCallResult:
        """Begin the attempt in the log, call the model, and record its answer.

        If it runs twice, the second execution follows the first and returns the same result, or `superseded`.
        `on_first_text_awaited` is called with the time since when readers wait, if they can have no text yet.
        """
        return await _Execution(self, request, on_first_text_awaited).run()


class _Execution:
    """One execution of an attempt."""

    def __init__(
        self, calls: ModelCalls, request: AttemptRequest, on_first_text_awaited: Callable[[datetime], None]
    ) -> None:
        self._service = calls
        self._request = request
        self._on_first_text_awaited = on_first_text_awaited
        self._writer = request.new_writer(calls.log, calls.clock)
        self._relay = calls.new_relay()
        self._answering = RetriedCall(calls.model, calls.settings, request.calls_before, lambda: self._seconds_left)

    async def run(self) -> ModelCallResult:
        start = MessageStart(step=self._request.step, attempt=self._request.attempt)
        match await claim_attempt(self._service.log, self._writer, self._permission, start):
            case Permission.ACT:
                return await self._act()
            case Permission.DONE:
                message = await load_active_message(self._service.log, self._writer.state, self._request.fence)
                step = await load_step(self._service.log, message, self._request.step)
                return _recorded(require_agent(message.agent), step)
            case Permission.CANCELLED:
                return ModelCallResult("cancelled")
            case Permission.POISONED:
                return ModelCallResult("failed", failure=POISONED)
            case _:
                return ModelCallResult("superseded")

    def _permission(self, state: SessionState) -> Permission:
        request = self._request
        return permission_for_step(state, request.fence, request.step, request.attempt, self._writer.id)

    def _may_continue(self, state: SessionState) -> bool:
        return self._permission(state) is Permission.ACT

    async def _act(self) -> ModelCallResult:
        try:
            async with asyncio.timeout(self._seconds_left):
                return await self._answer()
        except TimeoutError:
            failure = Failure(code="turn_timeout", message="The model did not finish in time.", retryable=True)
            return ModelCallResult("failed", failure=failure)
        except (ProjectNotFoundError, BudgetExceededError) as error:
            return ModelCallResult("failed", failure=Failure(code=error.code, message=str(error)))
        except ModelError as error:
            outcome = "retry" if self._answering.is_worth_another_attempt else "failed"
            return ModelCallResult(outcome, failure=_failure(error), calls=self._answering.calls_made)

    @property
    def _seconds_left(self) -> float:
        return self._request.seconds_left(self._service.clock.now())

    async def _answer(self) -> ModelCallResult:
        newest, message = await self._writer.hold(self._load_messages)
        turn = self._turn
        # Readers still wait if no earlier attempt or step can have given them text.
        if turn is not None and self._request.attempt == 1 and not any(step.text for step in message.steps):
            self._on_first_text_awaited(turn.running_since)
        request = await self._writer.hold(lambda: self._model_request(newest, message))
        guard = Guard(self._service.log, self._service.clock, self._writer, self._service.renew_lease_after)
        reserved = self._service.budgets.reserved(self._writer, estimate_tokens(request), self._request.deadline)
        async with reserved, guard.watch(self._may_continue, self._relay.stop):
            rest = await self._relay.run(self._answering.pieces(request), self._write)
            return await self._record(message, rest)

    async def _load_messages(self) -> tuple[Sequence[Message], Message]:
        """The newest messages, and the turn's own message, which is usually one of them."""
        log, state, turn = self._service.log, self._writer.state, self._turn
        newest = () if turn is None else await recent_messages(log, state, require_agent(turn.agent))
        own = next((message for message in newest if turn is not None and message.id == turn.message_id), None)
        if own is None:
            (own,) = await load_steps(log, state, [await load_active_message(log, state, self._request.fence)])
        return newest, own

    async def _model_request(self, newest: Sequence[Message], message: Message) -> ModelRequest:
        agent = require_agent(message.agent)
        if agent.works_on_project:
            briefing = await self._service.vibecoding.describe_project(self._writer.state)
            agent = replace(agent, instructions=f"{agent.instructions}\n\n{briefing}")
        settings = self._service.settings
        return ModelRequest(
            model=message.model,
            conversation=await load_conversation(self._service.log, agent, newest, message, self._reading),
            tools=[tool.schema for tool in agent.known_tools],
            max_silence=settings.max_silence,
            # A turn applies one patch; after that the model reports what it did.
            may_call_tools=not self._request.last_step and message.patch is None,
            output_schema=None if agent.output_type is None else agent.output_type.model_json_schema(),
            options={**settings.options, **agent.model_options},
            headers={**settings.headers, **agent.model_headers},
        )

    @property
    def _turn(self) -> ActiveTurn | None:
        """The turn when this attempt began."""
        return self._request.fence.turn_in(self._writer.state)

    @property
    def _reading(self) -> tuple[MessageId, ...]:
        """The messages that were put into the turn before this step began and that it is the first to read."""
        return () if self._turn is None else self._turn.reading

    async def _write(self, pieces: Sequence[Piece]) -> bool:
        deltas = [delta_of(self._request, piece) for piece in pieces]

        async def decide(state: SessionState) -> Decision[bool]:
            turn = state.active_turn
            if turn is None or not self._may_continue(state):
                return Decision(result=False)
            return Decision(True, turn_drafts(turn, *deltas))  # noqa: FBT003

        return await self._writer.transact(decide)

    async def _record(self, message: Message, rest: Sequence[Piece]) -> ModelCallResult:
        """Append the step's end with its documents, and the turn's end with it if nothing is left to do.

        After a cancel, record the part of the step that there is.
        """
        answer = Answer(self._request, message, self._answering.stream, self._reading, self._service.prices)
        agent = require_agent(message.agent)
        rest = await self._write_all_but_last(rest)
        # `finish_turn` has the client that starts deliveries.
        announces = await self._writer.hold(lambda: self._service.webhooks.announces(self._writer.state))

        async def decide(state: SessionState) -> Decision[ModelCallResult]:
            turn = self._own_turn(state)
            if turn is None:
                return Decision(ModelCallResult("superseded"))
            result = ModelCallResult("cancelled") if turn.cancelling else _recorded(agent, answer.step)
            drafts = turn_drafts(turn, *answer.events(turn, rest))
            if (
                result.outcome == "done"
                and not (answer.is_partial or announces)
                and _has_nothing_left(state, turn, agent)
            ):
                ending = Ending(status="completed", at=self._service.clock.now(), last=answer.step)
                answered = turn.with_call_done(answer.usage, answer.cost)
                documents = (ending.ended_message(answered, message), *answer.documents)
                return Decision(ModelCallResult("ended"), [*drafts, *ending.drafts(answered, message)], documents)
            return Decision(result, drafts, answer.documents)

        return await self._writer.transact(decide)

    async def _write_all_but_last(self, rest: Sequence[Piece]) -> Sequence[Piece]:
        """Append as much of `rest` as does not fit into the step's last batch. Returns what does."""
        *groups, last = split_pieces(rest)
        for group in groups:
            deltas = [delta_of(self._request, piece) for piece in group]

            async def decide(state: SessionState, deltas: Sequence[Delta] = deltas) -> Decision[None]:
                turn = self._own_turn(state)
                return Decision(None, [] if turn is None else turn_drafts(turn, *deltas))

            await self._writer.transact(decide)
        return last

    def _own_turn(self, state: SessionState) -> ActiveTurn | None:
        """The turn, if this execution began the step's newest attempt and its answer is not recorded."""
        turn = self._request.fence.turn_in(state)
        call = None if turn is None else turn.call
        return turn if call is not None and call.writer == self._writer.id and not call.done else None


def _has_nothing_left(state: SessionState, turn: ActiveTurn, agent: Agent) -> bool:
    """Whether the turn can end now: no message is unread or queued, and no project's change is to be reported."""
    return not (turn.unread or state.queue or agent.works_on_project)


def _recorded(agent: Agent, step: Step) -> ModelCallResult:
    """The result of a step that is recorded: the same for every execution."""
    if step.tool_calls:
        return ModelCallResult("tools", [call.id for call in step.calls_to_run])
    if (problem := agent.output_problem(step.text)) is not None:
        return ModelCallResult("failed", failure=Failure(code="invalid_output", message=problem))
    return ModelCallResult("done")


def _failure(error: ModelError) -> Failure:
    seconds = None if error.retry_after is None else math.ceil(error.retry_after)
    # The turn does not repeat a call that took too long. The client may.
    retryable = error.transient or error.failure_code == "model_timeout"
    return Failure(code=error.failure_code, message=str(error), retryable=retryable, retry_after=seconds)
