"""Actions: a turn parks until its calls are approved or answered from outside, and goes on when the last one is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel

from shared.agents.registry import agent_named
from shared.domain.actions import Resolution, Resolved, action_events, denial, resolve
from shared.domain.documents import IdempotencyRecord, Message, ToolResult
from shared.domain.errors import AlreadyDecidedError, NotWaitingError, ToolCallNotFoundError, WrongActionError
from shared.domain.ids import MessageId, SessionId, TurnId
from shared.domain.session import Action, ActiveTurn, SessionState
from shared.domain.turn import Fence
from shared.domain.values import ActionKind, ToolCall
from shared.ports import Clock, SessionLog, TurnScheduler, TurnStart
from shared.services.idempotency import IdempotencyKey
from shared.services.sessions import require_owned
from shared.services.turns.attempts import load_active_message
from shared.services.turns.taking_up import start_of
from shared.services.writer import Decision, SessionWriter

_KINDS: Mapping[str, ActionKind] = {"approve": "approval", "result": "client_tool"}


class Place(BaseModel):
    """Where a decision stands in the log, and of which turn it is."""

    turn_id: TurnId
    message_id: MessageId
    after: int


@dataclass(frozen=True)
class Decided:
    """A decision that is in the log. `still_open` are the calls for which the turn goes on waiting.

    `starts`: the instance that goes on with the turn and is to be started. `replayed`: it was decided before.
    """

    place: Place
    still_open: Mapping[str, Action]
    starts: TurnStart | None = None
    replayed: bool = False


class Actions:
    def __init__(self, log: SessionLog, clock: Clock, turn_timeout: timedelta, approval_timeout: timedelta) -> None:
        self._log = log
        self._clock = clock
        self._turn_timeout = turn_timeout
        self._approval_timeout = approval_timeout

    async def park(self, session_id: SessionId, fence: Fence) -> Literal["parked", "cancelled", "superseded"]:
        """Ask for what the calls of the newest step wait for; from then on the turn has no instance.

        Run twice, the second finds it parked.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[Literal["parked", "cancelled", "superseded"]]:
            turn = fence.turn_in(state)
            if turn is None:
                return Decision("superseded")
            if turn.cancelling or turn.parked:
                return Decision("cancelled" if turn.cancelling else "parked")
            waiting = _waiting(turn, await load_active_message(self._log, state, fence))
            if not waiting:
                # Another version of the agent found that there was something: the sweep lets this one try.
                return Decision("superseded")
            return Decision("parked", action_events(turn, waiting, self._clock.now() + self._approval_timeout))

        return await writer.settle(decide)

    async def decide(
        self,
        owner: str,
        session_id: SessionId,
        call_id: str,
        ruling: Resolution,
        *,
        trace_id: str,
        key: IdempotencyKey | None = None,
    ) -> Decided:
        """Record `ruling` on an open call; with the last open one, the turn is handed to its next instance.

        Raises:
            SessionNotFoundError, ToolCallNotFoundError, AlreadyDecidedError, WrongActionError, NotWaitingError,
            IdempotencyKeyReusedError: and nothing was written.
        """
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[tuple[Decided, bool]]:
            require_owned(state, owner, session_id)
            if key is not None and (known := await self._log.get(IdempotencyRecord, session_id, key.id)) is not None:
                place = Place.model_validate_json(key.replayed(known) or "")
                return Decision((Decided(place, _open(state, place.turn_id), replayed=True), False))
            turn = await self._asked(state, call_id, ruling)
            what = await self._ruled(state, turn, {call_id: ruling}, trace_id)
            place = Place(turn_id=turn.turn_id, message_id=turn.message_id, after=state.head)
            still_open = {name: action for name, action in turn.open_actions.items() if name != call_id}
            records = () if key is None else (key.record(place.model_dump_json()),)
            return Decision((Decided(place, still_open), what.takes_up), what.drafts, (*what.results, *records))

        decided, takes_up = await writer.settle(decide)
        return replace(decided, starts=start_of(writer.state, self._turn_timeout)) if takes_up else decided

    async def expire(self, session_id: SessionId, turn_id: TurnId) -> TurnStart | None:
        """Deny what was not decided in time; the instance to be started if the turn goes on."""
        writer = SessionWriter(self._log, self._clock, session_id)
        await writer.load()

        async def decide(state: SessionState) -> Decision[bool]:
            turn = state.active_turn
            if turn is None or turn.turn_id != turn_id or not turn.parked:
                return Decision(result=False)
            now = self._clock.now()
            overdue = [call_id for call_id, action in turn.open_actions.items() if action.expires_at <= now]
            what = await self._ruled(state, turn, dict.fromkeys(overdue, denial("system", "expired")), turn.trace_id)
            return Decision(what.takes_up, what.drafts, what.results)

        return start_of(writer.state, self._turn_timeout) if await writer.settle(decide) else None

    async def start(self, decided: Decided, scheduler: TurnScheduler) -> None:
        """Start the instance that goes on with the turn. A death before this line is mended by the sweep."""
        if decided.starts is not None:
            await scheduler.start(decided.starts)

    async def _asked(self, state: SessionState, call_id: str, ruling: Resolution) -> ActiveTurn:
        """The turn, if it waits for such a ruling on this call."""
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
        if _KINDS.get(ruling.decision, action.kind) != action.kind:
            wanted = "POST approval" if action.kind == "approval" else "POST its result"
            raise WrongActionError(f"The tool call waits for another action: {wanted}.")
        return turn

    async def _ruled(
        self, state: SessionState, turn: ActiveTurn, rulings: Mapping[str, Resolution], trace_id: str | None
    ) -> Resolved:
        message = await load_active_message(self._log, state, Fence(turn.turn_id, turn.instance_id))
        return resolve(turn, message, rulings, trace_id)


def _waiting(turn: ActiveTurn, message: Message) -> Sequence[tuple[ToolCall, ActionKind]]:
    """The calls of the newest step that can't be run before something comes from outside."""
    agent = agent_named(message.agent)
    waiting: list[tuple[ToolCall, ActionKind]] = []
    for call in message.steps[turn.step - 1].tool_calls:
        kind = agent.action_for(call)
        if kind is not None and call.id not in turn.actions:
            waiting.append((call, kind))
    return waiting


def _open(state: SessionState, turn_id: TurnId) -> Mapping[str, Action]:
    turn = state.active_turn
    return turn.open_actions if turn is not None and turn.turn_id == turn_id and turn.parked else {}
