"""The state of a session: what it is after an event."""

from datetime import datetime, timedelta
from typing import Any, Literal, Self, TypeAlias

from pydantic import AwareDatetime, JsonValue

from shared.domain.errors import SessionNotFoundError
from shared.domain.events import ForkedFrom
from shared.domain.ids import InstanceId, MessageId, SessionId, TurnId, WriterId, created_at_of
from shared.domain.values import ActionDecision, ActionKind, Count, Frozen, Ordinal, Usage, UsageRow

UiState: TypeAlias = Literal["idle", "queued", "running", "requires_action", "cancelling", "stalled"]

METADATA_BYTES = 16 * 1024
"""The most that a session's or a message's metadata takes, as JSON."""


_COPIED_WITHIN = timedelta(hours=25)
"""How long a fork may take: no retry with its Idempotency-Key finds it any more after a day."""


class Attempt(Frozen):
    """Who works on a step or a tool call: the newest attempt that is in the log, and whether it is answered."""

    number: Ordinal
    writer: WriterId
    done: bool = False


class Action(Frozen):
    """What a tool call waits for from outside, and what was decided."""

    kind: ActionKind
    name: str
    arguments: str
    expires_at: AwareDatetime
    decision: ActionDecision | None = None


class ActiveTurn(Frozen):
    """The one turn that owns the session now.

    `step` is the newest step begun and `call` its newest attempt; `tools` are the tool calls begun in that step. Of the
    messages put into the turn, `reading` are those that the newest step is the first to read, and `unread` those that
    came after its newest attempt had begun. A parked turn has no instance: it waits for `open_actions`, and goes on
    under another one. `runs_since` and `runs_as` are the moment and the generation in which it last began to run.
    """

    turn_id: TurnId
    message_id: MessageId
    instance_id: InstanceId
    generation: Ordinal = 1
    trace_id: str | None = None
    agent: str
    model: str
    started_at: AwareDatetime
    running_since: AwareDatetime
    running_generation: Ordinal = 1
    cancelling: bool = False
    stalled: bool = False
    parked: bool = False
    step: Count = 0
    call: Attempt | None = None
    tools: dict[str, Attempt] = {}
    actions: dict[str, Action] = {}
    reading: tuple[MessageId, ...] = ()
    unread: tuple[MessageId, ...] = ()
    usage: Usage = Usage()
    model_calls: Count = 0

    @property
    def steps_done(self) -> int:
        """How many steps have their whole text in the log."""
        return self.step if self.call is None or self.call.done else self.step - 1

    def with_call_done(self, usage: Usage) -> Self:
        """The turn once its newest model call is answered, and it has used so much."""
        call = None if self.call is None else self.call.model_copy(update={"done": True})
        return self.model_copy(update={"call": call, "usage": usage})

    @property
    def open_actions(self) -> dict[str, Action]:
        """The calls that wait for a decision, by their ids."""
        return {call_id: action for call_id, action in self.actions.items() if action.decision is None}

    @property
    def first_attempt(self) -> int:
        """A number above those of all attempts in the log: what another instance begins with."""
        attempts = [*self.tools.values(), *([] if self.call is None else [self.call])]
        return max((attempt.number for attempt in attempts), default=0) + 1


class SessionState(Frozen):
    """What a session is after the event `head`."""

    session_id: SessionId
    epoch: Ordinal = 1
    head: Count
    thread_id: str
    owner: str
    session_name: str | None = None
    project_id: str | None = None
    project_dir: str | None = None
    agent_name: str | None = None
    node_id: str | None = None
    metadata: dict[str, JsonValue] = {}
    archived: bool = False
    deleted: bool = False
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_resumed_at: AwareDatetime | None = None
    status: Literal["running", "finished"] = "running"
    active_turn: ActiveTurn | None = None
    queue: tuple[MessageId, ...] = ()
    queued_ahead: Count = 0
    diagnosis: str | None = None
    diagnosis_overflow: str | None = None
    result_sequence: Count = 0
    run_meta: dict[str, Any] | None = None
    error_detail: str | None = None
    usage: Usage = Usage()
    usage_rows: tuple[UsageRow, ...] = ()
    forked_from: ForkedFrom | None = None
    size_bytes: Count = 0

    @property
    def ui_state(self) -> UiState:
        turn = self.active_turn
        if turn is None:
            return "queued" if self.queue else "idle"
        if turn.cancelling:
            return "cancelling"
        if turn.parked:
            return "requires_action"
        return "stalled" if turn.stalled else "running"

    @property
    def repair_due(self) -> datetime | None:
        """From when on the sweep is to look at the session; None while there is nothing to repair, ever."""
        if not self.is_complete and not self.deleted:
            return created_at_of(self.session_id) + _COPIED_WITHIN
        turn = self.active_turn
        if turn is not None and turn.parked and turn.open_actions:
            return min(action.expires_at for action in turn.open_actions.values())
        return self.updated_at if self.deleted or turn is not None or self.queue else None

    @property
    def is_complete(self) -> bool:
        """Whether it is a session, or was one: a fork is none before the last event that it takes over is copied."""
        cut = 0 if self.forked_from is None else self.forked_from.sequence
        return self.head > cut or (self.head == cut and not self.deleted)

    def is_copied(self, sequence: int) -> bool:
        """Whether the event `sequence` was copied from the session that this one is a fork of."""
        return self.forked_from is not None and sequence <= self.forked_from.sequence

    @property
    def is_open(self) -> bool:
        """Whether more events are to be expected without anybody asking for them."""
        return not self.deleted and (self.status == "running" or self.active_turn is not None or bool(self.queue))


def require_owned(state: SessionState | None, owner: str, session_id: SessionId) -> SessionState:
    """`state`, if it belongs to `owner`, is not deleted, and is not a copy that is still being written.

    Raises:
        SessionNotFoundError: otherwise. The error does not show whether the session exists.
    """
    if state is None or state.deleted or not state.is_complete or state.owner != owner:
        raise SessionNotFoundError(session_id)
    return state
