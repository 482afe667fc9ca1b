"""Required actions: a turn parks until its calls are approved or answered, and resumes after the last decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from pydantic import BaseModel

from turnlog.agents.declaration import Agent
from turnlog.agents.registry import require_agent
from turnlog.domain.actions import Resolution, Resolved, action_drafts, denial, resolve
from turnlog.domain.errors import AlreadyDecidedError, NotWaitingError, ToolCallNotFoundError, WrongActionError
from turnlog.domain.ids import MessageId, SessionId, TurnId
from turnlog.domain.session import Action, ActiveTurn, SessionState
from turnlog.domain.stored_documents import Step, ToolResult
from turnlog.domain.turn import Fence
from turnlog.domain.values import ActionKind, ToolCall
from turnlog.ports import Clock, SessionLog, TurnScheduler
from turnlog.services.log.idempotency import IdempotencyKey
from turnlog.services.log.steps import load_open_actions, load_step, load_whole_actions
from turnlog.services.log.writer import Decision, SessionWriter
from turnlog.services.projects.webhooks import Webhooks
from turnlog.services.turns.attempts import load_active_message

ParkOutcome: TypeAlias = Literal["parked", "cancelled", "superseded"]
"""`parked`: the turn waits, and another instance resumes it. `cancelled`: the turn is asked to stop. `superseded`: the
turn does not belong to this instance any more."""

_KIND_OF_DECISION: Mapping[str, ActionKind] = {"approve": "approval", "result": "client_tool"}


@dataclass(frozen=True)
class DecisionRequest:
    """The decisions of a caller on tool calls, by their ids: all of them are recorded, or none."""

    resolutions: Mapping[str, Resolution]
    trace_id: str


class _DecisionRecord(BaseModel):
    """What is recorded of decisions under their Idempotency-Key."""

    turn_id: TurnId
    message_id: MessageId
    after: int


@dataclass(frozen=True)
class RecordedDecision:
    """Decisions that are in the log.

    `after`: the cursor from which their events are read. `still_open`: the calls for which the turn still waits, with
    their whole arguments.
    `resumes`: no call is open any more, and the turn's next instance is started. `replayed`: an earlier request with
    the same key recorded them.
    """

    turn_id: TurnId
    message_id: MessageId
    after: int
    still_open: Mapping[str, Action]
    resumes: bool = False
    replayed: bool = False


class Approvals:
    def __init__(self, log: SessionLog, clock: Clock, approval_timeout: timedelta, webhooks: Webhooks) -> None:
        self._log = log
        self._clock = clock
        self._approval_timeout = approval_timeout
        self._webhooks = webhooks

    async def park(self, session_id: SessionId, fence: Fence, scheduler: TurnScheduler) -> ParkOutcome:
        """Append what the calls of the newest step wait for, and announce it. From then on the turn has no instance.

        If it runs twice, the second run finds the turn parked.
        """

        async def decide(state: SessionState) -> Decision[ParkOutcome]:
            turn = fence.turn_in(state)
            if turn is None:
                return Decision("superseded")
            if turn.cancelling or turn.parked:
                return Decision("cancelled" if turn.cancelling else "parked")
            message = await load_active_message(self._log, state, fence)
            step = await load_step(self._log, message, turn.step)
            waiting = _required_actions(turn, require_agent(message.agent), step)
            if not waiting:
                # Another version of the agent required an action, this one does not: the sweep hands the turn over.
                return Decision("superseded")
            return Decision("parked", action_drafts(turn, waiting, self._clock.now() + self._approval_timeout))

        writer = SessionWriter(self._log, self._clock, session_id)
        outcome = await writer.transact(decide)
        if outcome == "parked":
            await self._webhooks.announce_turn(writer.state, fence.turn_id, scheduler)
        return outcome

    async def decide(
        self,
        owner: str,
        session_id: SessionId,
        request: DecisionRequest,
        scheduler: TurnScheduler,
        key: IdempotencyKey | None = None,
    ) -> RecordedDecision:
        """Record decisions on open calls. If no call is open any more, start the instance that resumes the turn.

        If the process dies before the start, the sweep starts the instance.

        Raises:
            SessionNotFoundError, ToolCallNotFoundError, AlreadyDecidedError, WrongActionError, NotWaitingError,
            IdempotencyKeyReusedError: and nothing was written.
        """
        writer = SessionWriter(self._log, self._clock, session_id)

        async def decide(state: SessionState) -> Decision[RecordedDecision]:
            return await self._decide(state, request)

        async def replay(state: SessionState, record: str) -> RecordedDecision:
            recorded = _DecisionRecord.model_validate_json(record)
            still_open = await self._open_actions(state, recorded.turn_id)
            return RecordedDecision(recorded.turn_id, recorded.message_id, recorded.after, still_open, replayed=True)

        decided = await writer.transact(decide, owner=owner, key=key, replay=replay)
        if decided.resumes:
            await scheduler.start(writer.state)
        return decided

    async def _decide(self, state: SessionState, request: DecisionRequest) -> Decision[RecordedDecision]:
        for call_id, resolution in request.resolutions.items():
            await self._require_waiting(state, call_id, resolution)
        turn = state.active_turn
        if turn is None:
            raise ToolCallNotFoundError("No tool call was named, and none waits in this session.")
        resolved = await self._resolve(state, turn, request.resolutions, request.trace_id)
        others = {
            call_id: action for call_id, action in turn.open_actions.items() if call_id not in request.resolutions
        }
        still_open = await load_whole_actions(self._log, state.session_id, turn, others)
        decided = RecordedDecision(turn.turn_id, turn.message_id, state.head, still_open, resolved.resumes)
        recorded = _DecisionRecord(turn_id=turn.turn_id, message_id=turn.message_id, after=state.head)
        return Decision(decided, resolved.drafts, resolved.results, record=recorded.model_dump_json())

    async def expire(self, session_id: SessionId, turn_id: TurnId, scheduler: TurnScheduler) -> None:
        """Deny the calls that were not decided in time. If no call is open any more, start the next instance."""
        writer = SessionWriter(self._log, self._clock, session_id)

        async def decide(state: SessionState) -> Decision[bool]:
            turn = state.active_turn
            if turn is None or turn.turn_id != turn_id or not turn.parked:
                return Decision(result=False)
            now = self._clock.now()
            overdue = [call_id for call_id, action in turn.open_actions.items() if action.expires_at <= now]
            denials = dict.fromkeys(overdue, denial("system", "expired"))
            resolved = await self._resolve(state, turn, denials, turn.trace_id)
            return Decision(resolved.resumes, resolved.drafts, resolved.results)

        if await writer.transact(decide):
            await scheduler.start(writer.state)

    async def _require_waiting(self, state: SessionState, call_id: str, resolution: Resolution) -> None:
        """Refuse the decision unless the active turn waits for such a decision on the call."""
        turn = state.active_turn
        action = None if turn is None else turn.actions.get(call_id)
        if turn is None or action is None:
            if await self._log.get(ToolResult, state.session_id, call_id) is None:
                raise ToolCallNotFoundError(f"No tool call {call_id!r} waits in this session.")
            raise AlreadyDecidedError("The tool call is answered already.")
        if action.decision is not None:
            raise AlreadyDecidedError(f"The tool call is decided already: {action.decision}.")
        if not turn.parked:
            raise NotWaitingError("The turn is being cancelled: its tool calls wait for nothing any more.")
        if _KIND_OF_DECISION.get(resolution.decision, action.kind) != action.kind:
            expected = "POST approval" if action.kind == "approval" else "POST its result"
            raise WrongActionError(f"The tool call waits for another action: {expected}.")

    async def _open_actions(self, state: SessionState, turn_id: TurnId) -> Mapping[str, Action]:
        turn = state.active_turn
        return {} if turn is None or turn.turn_id != turn_id else await load_open_actions(self._log, state)

    async def _resolve(
        self, state: SessionState, turn: ActiveTurn, resolutions: Mapping[str, Resolution], trace_id: str | None
    ) -> Resolved:
        message = await load_active_message(self._log, state, Fence(turn.turn_id, turn.instance_id))
        return resolve(turn, message, resolutions, trace_id)


def recorded_message_id(record: str) -> MessageId:
    """The message that was recorded under a key: a posted one, or that of a turn on whose calls was decided."""
    return _DecisionRecord.model_validate_json(record).message_id if record.startswith("{") else MessageId(record)


def _required_actions(turn: ActiveTurn, agent: Agent, step: Step) -> Sequence[tuple[ToolCall, ActionKind]]:
    """The calls of the newest step that need an approval or run on the client."""
    waiting: list[tuple[ToolCall, ActionKind]] = []
    for call in step.calls_to_run:
        kind = agent.required_action(call)
        if kind is not None and call.id not in turn.actions:
            waiting.append((call, kind))
    return waiting
