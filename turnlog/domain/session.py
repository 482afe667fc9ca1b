"""The state of a session after an event of its log."""

from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Literal, Self, TypeAlias

from pydantic import AwareDatetime, JsonValue

from turnlog.domain.budget import Budget
from turnlog.domain.errors import SessionNotFoundError
from turnlog.domain.events import ForkedFrom
from turnlog.domain.ids import (
    InstanceId,
    MessageId,
    OwnerHash,
    SessionId,
    TurnId,
    WriterId,
    created_at_of,
    owner_hash,
)
from turnlog.domain.values import (
    ActionDecision,
    ActionKind,
    Cost,
    Count,
    Frozen,
    OptionalCost,
    Ordinal,
    RunStatus,
    Usage,
    UsageRow,
    add_costs,
)

UiState: TypeAlias = Literal["idle", "queued", "running", "requires_action", "cancelling", "stalled"]

MAX_METADATA_BYTES = 16 * 1024
"""The maximum size of a session's or a message's metadata, as JSON."""

_MAX_COPY_TIME = timedelta(hours=25)
"""How long a fork may take. After a day no retry finds it by its Idempotency-Key."""


class Attempt(Frozen):
    """The newest attempt at a step or a tool call in the log: its writer, and whether it is answered.

    `crashes` counts the attempts before it, one after the other, that began, wrote nothing, and never ended. It has
    written nothing if the log has no gap for its deltas: `silent_to` is the last event of a row of others' events that
    begins with its start.
    """

    number: Ordinal
    writer: WriterId
    done: bool = False
    crashes: Count = 0
    silent_to: Count = 0


class Action(Frozen):
    """The decision or result that a tool call waits for, and what was decided.

    `arguments_in` is the id of the step's document if that has the arguments, because they are not short.
    """

    kind: ActionKind
    name: str
    arguments: str
    arguments_in: str | None = None
    expires_at: AwareDatetime
    decision: ActionDecision | None = None


class ActiveTurn(Frozen):
    """The one turn that owns the session now.

    `step` is the newest step that was started, `call` its newest attempt, and `tools` its started tool calls. Of the
    messages that were put into the turn, `reading` are those that the newest step is the first to read, and `unread`
    those that came after its newest attempt started. A parked turn has no instance: it waits for `open_actions`, and
    another instance continues it. `running_since` and `running_generation` are the time and the generation of its last
    start. `writer` appended the turn's newest event that is not a delta, at `changed_at`.
    """

    turn_id: TurnId
    message_id: MessageId
    instance_id: InstanceId
    generation: Ordinal = 1
    writer: WriterId
    changed_at: AwareDatetime
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
    cost: OptionalCost = None
    model_calls: Count = 0

    @property
    def steps_done(self) -> int:
        """The number of steps whose whole text is in the log."""
        return self.step if self.call is None or self.call.done else self.step - 1

    def with_call_done(self, usage: Usage, cost: Cost | None) -> Self:
        """The turn after its newest model call was answered, which used so many tokens."""
        call = None if self.call is None else self.call.model_copy(update={"done": True})
        used = {"usage": self.usage + usage, "cost": add_costs(self.cost, cost)}
        return self.model_copy(update={"call": call, **used})

    @property
    def open_actions(self) -> dict[str, Action]:
        """The actions without a decision, by the ids of their calls."""
        return {call_id: action for call_id, action in self.actions.items() if action.decision is None}

    @property
    def first_attempt(self) -> int:
        """The number of the first attempt of another instance: above the numbers of all attempts in the log."""
        attempts = [*self.tools.values(), *([] if self.call is None else [self.call])]
        return max((attempt.number for attempt in attempts), default=0) + 1


_LEFT_AFTER_DELETION = (
    *("session_id", "epoch", "head", "size_bytes", "thread_id", "project_id", "forked_from"),
    *("created_at", "updated_at", "usage", "usage_rows"),
)


class SessionState(Frozen):
    """A session after the event with the sequence `head`. `owner` of a deleted one is only the hash of its owner."""

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
    status: RunStatus = "running"
    active_turn: ActiveTurn | None = None
    queue: tuple[MessageId, ...] = ()
    queued_ahead: Count = 0
    diagnosis: str | None = None
    diagnosis_sequence: Count = 0
    result_sequence: Count = 0
    run_meta: dict[str, Any] | None = None
    error_detail: str | None = None
    usage: Usage = Usage()
    usage_rows: tuple[UsageRow, ...] = ()
    budget: Budget | None = None
    forked_from: ForkedFrom | None = None
    size_bytes: Count = 0

    @property
    def cost(self) -> Cost | None:
        """The cost of the model calls that had a price; None if none had one."""
        return reduce(add_costs, (row.cost for row in self.usage_rows), None)

    @property
    def owner_hash(self) -> OwnerHash:
        """The owner in the keys of lists and rooms. A deletion does not change it."""
        return OwnerHash(self.owner) if self.deleted else owner_hash(self.owner)

    def tombstone(self) -> Self:
        """What is left of the session after its deletion: ids, the hash of the owner, times, usage and the head.

        Nothing is left that people or models wrote, nor a field of a later release, which may hold such a text.
        """
        left = {name: getattr(self, name) for name in _LEFT_AFTER_DELETION}
        return type(self)(**left, owner=self.owner_hash, deleted=True, status="finished")

    @property
    def is_waiting_for_place(self) -> bool:
        """Whether no process has begun the turn yet. A checkpoint does not know: a start is stored without one."""
        return self.ui_state == "running" and self.active_turn is not None and self.active_turn.step == 0

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
        """Since when the sweep has to check the session. None if there is nothing to repair."""
        turn = self.active_turn
        if not self.is_complete or self.deleted or turn is None:
            return None
        if turn.parked and turn.open_actions:
            return min(action.expires_at for action in turn.open_actions.values())
        return turn.changed_at

    @property
    def clear_due(self) -> datetime | None:
        """Since when the session is to be cleared: it was deleted, or is a copy that was never completed."""
        if self.deleted:
            return self.updated_at
        return None if self.is_complete else created_at_of(self.session_id) + _MAX_COPY_TIME

    @property
    def is_complete(self) -> bool:
        """Whether it is or was a real session. A fork is one when the last event of its source is copied."""
        cut = 0 if self.forked_from is None else self.forked_from.sequence
        return self.head > cut or (self.head == cut and not self.deleted)

    def is_copied(self, sequence: int) -> bool:
        """Whether the event with this sequence was copied from the source of this fork."""
        return self.forked_from is not None and sequence <= self.forked_from.sequence

    @property
    def is_open(self) -> bool:
        """Whether more events will follow without another request."""
        return not self.deleted and (self.status == "running" or self.active_turn is not None or bool(self.queue))


def require_owned(state: SessionState | None, owner: str, session_id: SessionId) -> SessionState:
    """`state`, if it belongs to `owner`, is not deleted, and is not a copy that is still being written.

    Raises:
        SessionNotFoundError: otherwise. The error does not show whether the session exists.
    """
    if state is None or state.deleted or not state.is_complete or state.owner != owner:
        raise SessionNotFoundError(session_id)
    return state
